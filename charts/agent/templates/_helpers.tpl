{{- define "muster-agent.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "muster-agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "muster-agent.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "muster-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "muster-agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "muster-agent.labels" -}}
{{ include "muster-agent.selectorLabels" . }}
app.kubernetes.io/component: agent
app.kubernetes.io/part-of: muster
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "muster-agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "muster-agent.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "muster-agent.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "muster-agent.enrolmentSecret" -}}
{{- default (printf "%s-enrolment" (include "muster-agent.fullname" .)) .Values.enrolment.existingSecret -}}
{{- end -}}

{{- define "muster-agent.enrolmentKey" -}}
{{- if .Values.enrolment.existingSecret }}{{ .Values.enrolment.key }}{{ else }}token{{ end -}}
{{- end -}}

{{- define "muster-agent.watchNamespaces" -}}
{{- if .Values.watchNamespaces -}}
{{- join "," .Values.watchNamespaces -}}
{{- else if eq .Values.rbac.profile "namespaced" -}}
{{- join "," .Values.rbac.namespaces -}}
{{- end -}}
{{- end -}}

{{/* Verbs of the reconciler; server-side apply needs create and patch, never update. */}}
{{- define "muster-agent.verbs" -}}
[get, list, watch, create, patch, delete]
{{- end -}}

{{/* What the profile "namespaced" manages. Kinds that grant rights or limit the namespace itself are left to rbac.extraRules. */}}
{{- define "muster-agent.namespacedRules" -}}
- apiGroups: [""]
  resources: [configmaps, endpoints, persistentvolumeclaims, pods, podtemplates, replicationcontrollers, secrets, serviceaccounts, services]
  verbs: {{ include "muster-agent.verbs" . }}
- apiGroups: [apps]
  resources: [daemonsets, deployments, replicasets, statefulsets]
  verbs: {{ include "muster-agent.verbs" . }}
- apiGroups: [batch]
  resources: [cronjobs, jobs]
  verbs: {{ include "muster-agent.verbs" . }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: {{ include "muster-agent.verbs" . }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: {{ include "muster-agent.verbs" . }}
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: {{ include "muster-agent.verbs" . }}
{{- end -}}

{{- define "muster-agent.clusterRules" -}}
# The agent never uses update and deletecollection; but who does not have a right cannot grant it, and the roles of most charts do.
- apiGroups: ["*"]
  resources: ["*"]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
{{- end -}}

{{- define "muster-agent.escalateRules" -}}
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles, clusterrolebindings, roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete, escalate, bind]
{{- end -}}

{{- define "muster-agent.rules" -}}
{{- if .Values.rbac.rules -}}
{{ toYaml .Values.rbac.rules }}
{{- else if eq .Values.rbac.profile "cluster" -}}
{{ include "muster-agent.clusterRules" . }}
{{- else -}}
{{ include "muster-agent.namespacedRules" . }}
{{- end -}}
{{- if .Values.rbac.escalate }}
{{ include "muster-agent.escalateRules" . }}
{{- end -}}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Ports of a comma list of NATS URLs. */}}
{{- define "muster-agent.natsPorts" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.nats.url -}}
{{- $ports = append $ports (default "4222" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trimSuffix "/" (trim .))))) -}}
{{- end -}}
{{- $ports | uniq | join "," -}}
{{- end -}}
