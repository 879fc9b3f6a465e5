{{- define "muster-hub.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
At most 52 characters: the StatefulSet's pods carry `<name>-<hash of 10>` as a label (controller-revision-hash) and the Service
of the API is called `<name>-api`, each of which may have 63.
*/}}
{{- define "muster-hub.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "muster-hub.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "muster-hub.selectorLabels" -}}
app.kubernetes.io/name: {{ include "muster-hub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "muster-hub.labels" -}}
{{ include "muster-hub.selectorLabels" . }}
app.kubernetes.io/component: hub
app.kubernetes.io/part-of: muster
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "muster-hub.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "muster-hub.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "muster-hub.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Port of a `host:port` address. */}}
{{- define "muster-hub.port" -}}
{{- required (printf "no port in %q" .) (regexFind "[0-9]+$" .) -}}
{{- end -}}

{{/*
Names in the hub's server certificate: those of the values, and those by which agents in this cluster reach the Service.
`muster cluster join` writes the first one into the values of an agent.
*/}}
{{- define "muster-hub.serverNames" -}}
{{- $service := include "muster-hub.fullname" . -}}
{{- $names := concat .Values.config.grpc.serverNames (list (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s" $service .Release.Namespace) $service) -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* Scheme of the API: the certificate may come from a Secret of the chart or from paths in the configuration. */}}
{{- define "muster-hub.apiScheme" -}}
{{- ternary "https" "http" (not (and (empty .Values.apiTls.existingSecret) (empty .Values.config.http.tls))) -}}
{{- end -}}

{{/* The API token that is in force, as a path in the container. */}}
{{- define "muster-hub.tokenFile" -}}
{{- if and .Values.apiCredentials.existingSecret .Values.apiCredentials.tokenKey -}}
/etc/muster/api/api-token
{{- else -}}
{{- default (printf "%s/api-token" (trimSuffix "/" .Values.config.dataDir)) .Values.config.http.tokenFile -}}
{{- end -}}
{{- end -}}

{{/* hub.yaml: the values as they are, and the paths of what the chart mounts. */}}
{{- define "muster-hub.config" -}}
{{- $values := .Values -}}
{{- $config := deepCopy .Values.config -}}
{{- $sources := list -}}
{{- range $config.sources -}}
{{- $source := . -}}
{{- if hasKey $values.sourceCredentials .name -}}
{{- $source = set $source "credentialsFile" (printf "/etc/muster/git/%s/credentials.yaml" .name) -}}
{{- end -}}
{{- $sources = append $sources $source -}}
{{- end -}}
{{- $_ := set $config "sources" $sources -}}
{{- $_ := set $config.grpc "serverNames" (include "muster-hub.serverNames" . | fromJsonArray) -}}
{{- $name := first $config.grpc.serverNames -}}
{{- if not $config.grpc.address -}}{{- $_ := set $config.grpc "address" (printf "%s:%d" $name (int64 $values.service.grpc.port)) -}}{{- end -}}
{{- if not $config.grpc.enrolAddress -}}{{- $_ := set $config.grpc "enrolAddress" (printf "%s:%d" $name (int64 $values.service.grpc.enrolPort)) -}}{{- end -}}
{{- if not $config.nats.agentUrl -}}{{- $_ := unset $config.nats "agentUrl" -}}{{- end -}}
{{- with $values.natsCredentials -}}
{{- if .existingSecret -}}
{{- $_ := set $config.nats "credsFile" "/etc/muster/nats/hub.creds" -}}
{{- $account := dict "seedFile" "/etc/muster/nats/agents.seed" -}}
{{- with .agentAccount -}}{{- $_ := set $account "account" . -}}{{- end -}}
{{- $_ := set $config.nats "agentAccount" $account -}}
{{- if .caKey -}}{{- $_ := set $config.nats "caFile" "/etc/muster/nats/ca.crt" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- with $values.apiCredentials -}}
{{- if and .existingSecret .tokenKey -}}{{- $_ := set $config.http "tokenFile" (include "muster-hub.tokenFile" $) -}}{{- end -}}
{{- if and .existingSecret .webhookSecretKey -}}{{- $_ := set $config.http "webhookSecretFile" "/etc/muster/api/webhook-secret" -}}{{- end -}}
{{- end -}}
{{- if $values.apiTls.existingSecret -}}
{{- $_ := set $config.http "tls" (dict "certFile" "/etc/muster/tls/tls.crt" "keyFile" "/etc/muster/tls/tls.key") -}}
{{- end -}}
{{- /* Helm reads whole numbers as floats, and toYaml writes large ones as 1e+09, which is no integer to many readers. */ -}}
{{- range tuple (tuple $config.grpc "leaseMs" "heartbeatIntervalMs") (tuple $config.identity "certificateDays" "natsHours") (tuple $config.render "timeoutMs" "maxOutputBytes" "maxMemoryBytes" "concurrency") (tuple $config.publish "auditIntervalMs" "blobGracePeriodMs" "replicas") -}}
{{- $section := first . -}}
{{- range rest . -}}
{{- if hasKey $section . -}}{{- $_ := set $section . (int64 (get $section .)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $config.sources -}}
{{- if hasKey . "pollIntervalMs" -}}{{- $_ := set . "pollIntervalMs" (int64 .pollIntervalMs) -}}{{- end -}}
{{- if hasKey . "timeoutMs" -}}{{- $_ := set . "timeoutMs" (int64 .timeoutMs) -}}{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "muster-hub.claimName" -}}
{{- default (printf "%s-data" (include "muster-hub.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{/* TCP ports of NATS and of the Git sources, as a JSON list. */}}
{{- define "muster-hub.egressPorts" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.config.nats.url -}}
{{- $ports = append $ports (default "4222" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trimSuffix "/" (trim .))))) -}}
{{- end -}}
{{- range .Values.config.sources -}}
{{- $port := regexFind "[0-9]+$" (urlParse .url).host -}}
{{- if not (regexMatch ":[0-9]+$" (urlParse .url).host) -}}{{- $port = ternary "443" "80" (hasPrefix "https:" .url) -}}{{- end -}}
{{- $ports = append $ports $port -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
