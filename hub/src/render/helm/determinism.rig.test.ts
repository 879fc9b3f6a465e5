import { gzipSync } from "node:zlib";
import type { CodedError } from "@muster/shared/errors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configMap, dataOf, type FileSpec, NO_CAPABILITIES, snapshotOf, targetOf } from "../../../../test/fixtures/render/targets.ts";
import { resolveBinary } from "../../../../test/rig/binaries.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { createRenderer } from "../create-renderer.ts";
import type { Renderer } from "../renderer.ts";
import { isArchive, unpackedText } from "./chart-archive.ts";
import { withOtherTime } from "./other-time.ts";

const folder = createTempFolder("determinism");
let renderer: Renderer;
beforeAll(async () => {
  renderer = createRenderer({ helm: await resolveBinary("helm"), temporaryFolder: folder.path });
});
afterAll(() => folder.remove());

const CHART = "apiVersion: v2\nname: demo\nversion: 0.1.0\n";
const render = (files: Record<string, FileSpec>, helm = {}) =>
  renderer.render(targetOf({ helm }), snapshotOf({ "app/Chart.yaml": CHART, ...files }), NO_CAPABILITIES);
const withValue = (expression: string) => ({ "app/templates/a.yaml": `${configMap("a")}  v: ${expression}\n` });

async function failure(files: Record<string, FileSpec>, helm = {}): Promise<CodedError> {
  return await render(files, helm).then(
    () => {
      throw new Error("no error");
    },
    (error: CodedError) => error,
  );
}

/** A packed chart with one template, as `helm package` makes it. */
function packed(name: string, template: string): Buffer {
  const entry = (path: string, text: string) => {
    const header = Buffer.alloc(512);
    header.write(path);
    header.write("0000644\0", 100);
    header.write(`${text.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        0ustar\u000000", 148);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0")}\0 `,
      148,
    );
    return Buffer.concat([header, Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)]);
  };
  return gzipSync(
    Buffer.concat([
      entry(`${name}/Chart.yaml`, `apiVersion: v2\nname: ${name}\nversion: 1.0.0\n`),
      entry(`${name}/templates/a.yaml`, template),
      Buffer.alloc(1024),
    ]),
  );
}

describe("a chart whose output depends on the date", () => {
  it.concurrent.each([
    ["the day", '{{ now | date "2006-01-02" | quote }}'],
    ["the day, of another zone", '{{ dateInZone "2006-01-02" (now) "Asia/Tokyo" | quote }}'],
    ["the month", '{{ now | date "Jan" | quote }}'],
    ["the weekday", '{{ date "Monday" now | quote }}'],
    ["the hour", '{{ now | date "15" | quote }}'],
    ["the year", "{{ now.Year | quote }}"],
    ["seconds", "{{ now | unixEpoch | quote }}"],
    ["a later day", '{{ now | dateModify "720h" | htmlDate | quote }}'],
    ["a branch", '{{ if gt (now | unixEpoch | int) 1500000000 }}"new"{{ else }}"old"{{ end }}'],
    ["an age", '{{ ago (toDate "2006-01-02" "2020-01-01") | quote }}'],
    ["whether it fails", '{{ if lt now.Year 2015 }}{{ fail "too old" }}{{ end }}"x"'],
  ])("is refused, though two renders of one day agree: %s", async (_, expression) => {
    expect(await failure(withValue(expression))).toMatchObject({
      code: "RENDER_NONDETERMINISTIC",
      message: expect.stringContaining("templates/a.yaml"),
    });
  });
  it("is refused when the call stands in a helper, in values for tpl, or in a packed dependency", async () => {
    const day = '{{ now | date "2006-01-02" }}';
    expect(
      await failure({ ...withValue('{{ include "day" . }}'), "app/templates/_h.tpl": `{{ define "day" }}"${day}"{{ end }}` }),
    ).toMatchObject({
      code: "RENDER_NONDETERMINISTIC",
      message: expect.stringContaining("templates/_h.tpl"),
    });
    expect(await failure(withValue("{{ tpl .Values.day . | quote }}"), { values: { day: "{{ now | htmlDate }}" } })).toMatchObject({
      code: "RENDER_NONDETERMINISTIC",
      message: expect.stringContaining("helm.values"),
    });
    const error = await failure({ "app/charts/sub-1.0.0.tgz": packed("sub", `${configMap("b")}  v: "${day}"\n`) });
    expect([error.code, error.message]).toEqual(["RENDER_NONDETERMINISTIC", expect.stringContaining("charts/sub-1.0.0.tgz")]);
  });
});

describe("a chart that knows the date", () => {
  it.concurrent.each([
    ["does not use it", '{{ $x := now }}"v"', "v"],
    ["uses it only for notes", '"v"', "v"],
    ["formats a date that somebody set", '{{ toDate "2006-01-02" "2020-02-03" | date "02.01.2006" | quote }}', "03.02.2020"],
    ["passes on a template for somebody else", '{{ `{{ now | date "2006" }}` | quote }}', '{{ now | date "2006" }}'],
    ["writes of now", '{{ printf "%s" "now" | quote }} # now', "now"],
  ])("is rendered if it %s", async (_, expression, expected) => {
    const notes = { "app/templates/NOTES.txt": 'Installed on {{ now | date "2006-01-02" }}' };
    expect(dataOf(await render({ ...withValue(expression), ...notes }))["v"]).toBe(expected);
  });
  it("renders the same in another time zone: local time is UTC", async () => {
    const zone = process.env["TZ"];
    process.env["TZ"] = "Asia/Tokyo";
    try {
      const { v } = dataOf(await render(withValue('{{ toDate "2006-01-02" "2020-02-03" | unixEpoch | quote }}')));
      expect(v).toBe("1580688000");
    } finally {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    }
  });
});

describe("a chart that lists a map's keys or values", () => {
  const values = { values: { env: Object.fromEntries([..."abcdefghijklmnopqrstuvwxyz"].map((key, index) => [key, String(index)])) } };
  it.each(['{{ keys .Values.env | join "," | quote }}', '{{ values .Values.env | join "," | quote }}', "{{ first (keys .Values.env) }}"])(
    "in an order that changes is refused: %s",
    async (expression) => {
      expect(await failure(withValue(expression), values)).toMatchObject({ code: "RENDER_NONDETERMINISTIC" });
    },
  );
  it("in order is rendered, and so is one that only counts", async () => {
    const sorted = await render(withValue('{{ keys .Values.env | sortAlpha | join "," | quote }}'), values);
    expect(dataOf(sorted)["v"]).toBe([..."abcdefghijklmnopqrstuvwxyz"].join());
    expect(dataOf(await render(withValue("{{ len (keys .Values.env) | quote }}"), values))["v"]).toBe("26");
  });
});

describe("the other time", () => {
  const changed = (text: string, wallMs = Date.UTC(2026, 10, 27, 3, 4, 5)) =>
    withOtherTime(new Map([["input/templates/a.yaml", Buffer.from(text)]]), wallMs)
      .inputs.get("input/templates/a.yaml")
      ?.toString() ?? "";
  it("differs in year, month, day, weekday, hour, minute and second, whenever it is", () => {
    for (let hour = 0; hour < 24 * 800; hour += 7) {
      const now = new Date(Date.UTC(2026, 0, 1, hour, hour % 60, (hour * 7) % 60));
      const digits = /toString (\d{14})\)\)/.exec(changed("{{ now }}", now.getTime()))?.[1] ?? "";
      const iso = digits.replace(/(....)(..)(..)(..)(..)(..)/, "$1-$2-$3T$4:$5:$6Z");
      const other = new Date(iso);
      expect(other.toISOString().slice(0, 19)).toBe(iso.slice(0, 19));
      expect(other.getUTCDay()).not.toBe(now.getUTCDay());
      const parts = (date: Date) =>
        date
          .toISOString()
          .split(/[-T:.]/)
          .slice(0, 6);
      for (const [index, part] of parts(other).entries()) expect(part).not.toBe(parts(now)[index]);
    }
  });
  it("leaves fields, variables, texts, comments and everything outside of actions as they are", () => {
    for (const text of [
      "now",
      "{{ .now }}",
      "{{ $now }}",
      '{{ "now" }}',
      "{{ `now` }}",
      "{{/* now */}}",
      "{{ nowhere }}",
      '{{ include "x.now" . }}',
    ]) {
      expect(changed(text)).toBe(text);
    }
    expect(changed("{{now|date}}{{ (now).Year }}")).toMatch(/^\{\{\(toDate .*\)\|date\}\}\{\{ \(\(toDate .*\)\)\.Year \}\}$/);
  });
  it("changes what is packed so that it can still be unpacked, and nothing else in it", () => {
    const archive = packed("sub", "a: {{ now }}\n");
    const inputs = new Map([["input/charts/sub.tgz", archive]]);
    const next = withOtherTime(inputs, 0).inputs.get("input/charts/sub.tgz") as Uint8Array;
    expect(isArchive("input/charts/sub.tgz")).toBe(true);
    expect(unpackedText(next)).toContain("a: {{ (toDate ");
    expect(unpackedText(next)).toContain("name: sub\n");
    const plain = packed("sub", "a: 1\n");
    expect(withOtherTime(new Map([["input/charts/sub.tgz", plain]]), 0).inputs.get("input/charts/sub.tgz")).toBe(plain);
  });
});
