import { FIELD_MANAGER, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { withEmptyFields } from "./empty-fields.ts";
import { explainDrift } from "./explain-drift.ts";
import { type FieldSet, fieldPath, intersect, missingIn, ownedFields, pointerTokens, projectionHash, withoutIgnored } from "./field-set.ts";
import { leavesOf } from "./field-set-parts.ts";

const FIELDS = {
  "f:metadata": { "f:labels": { "f:app": {}, "f:example.com/tier": {} } },
  "f:spec": {
    "f:replicas": {},
    "f:template": {
      "f:spec": {
        "f:containers": {
          'k:{"name":"web"}': {
            ".": {},
            "f:name": {},
            "f:image": {},
            "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {} } },
          },
        },
      },
    },
    "f:finalizers": { 'v:"example.com/x"': {} },
  },
} as const satisfies JsonObject;

const live = (change: (object: JsonObject) => void = () => {}): Manifest => {
  const object: JsonObject = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "apps", labels: { app: "web", "example.com/tier": "front", other: "x" } },
    spec: {
      replicas: 2,
      paused: false,
      finalizers: ["example.com/x", "example.com/y"],
      template: {
        spec: {
          containers: [
            { name: "side", image: "s:1" },
            { name: "web", image: "w:1", ports: [{ containerPort: 80, protocol: "TCP" }] },
          ],
        },
      },
    },
  };
  change(object);
  return object as unknown as Manifest;
};
const spec = (object: JsonObject) => object["spec"] as JsonObject;
const containers = (object: JsonObject) => ((spec(object)["template"] as JsonObject)["spec"] as JsonObject)["containers"] as JsonObject[];
const hash = (object: Manifest) => projectionHash(object, FIELDS);

const fieldPaths = (fields: FieldSet) => leavesOf(fields).map(fieldPath);

describe("the projection of an object onto the fields that we own", () => {
  it.each<[string, (object: JsonObject) => void]>([
    [
      "a field that is not ours",
      (object) => {
        spec(object)["paused"] = true;
      },
    ],
    [
      "a label that is not ours",
      (object) => {
        ((object["metadata"] as JsonObject)["labels"] as JsonObject)["other"] = "y";
      },
    ],
    [
      "another item of a list",
      (object) => {
        containers(object).push({ name: "injected", image: "i:1" });
      },
    ],
    [
      "the order of a list with keys",
      (object) => {
        containers(object).reverse();
      },
    ],
    [
      "another member of a set",
      (object) => {
        (spec(object)["finalizers"] as string[]).push("example.com/z");
      },
    ],
    [
      "a status",
      (object) => {
        object["status"] = { replicas: 7 };
      },
    ],
  ])("does not change with %s", (_, change) => {
    expect(hash(live(change))).toBe(hash(live()));
  });

  it.each<[string, (object: JsonObject) => void]>([
    [
      "a value of ours",
      (object) => {
        spec(object)["replicas"] = 3;
      },
    ],
    [
      "its type",
      (object) => {
        spec(object)["replicas"] = "2";
      },
    ],
    [
      "a field of ours that is gone",
      (object) => {
        delete spec(object)["replicas"];
      },
    ],
    [
      "null in its place",
      (object) => {
        spec(object)["replicas"] = null;
      },
    ],
    [
      "a label of ours",
      (object) => {
        ((object["metadata"] as JsonObject)["labels"] as JsonObject)["example.com/tier"] = "back";
      },
    ],
    [
      "a field in an item of ours",
      (object) => {
        (containers(object)[1] as JsonObject)["image"] = "w:2";
      },
    ],
    [
      "an item of ours that is gone",
      (object) => {
        containers(object).pop();
      },
    ],
    [
      "a member of a set that is gone",
      (object) => {
        spec(object)["finalizers"] = ["example.com/y"];
      },
    ],
  ])("changes with %s", (_, change) => {
    expect(hash(live(change))).not.toBe(hash(live()));
  });

  it("with an empty container, is of its existence alone while that is ours, and of all in it once it is not", () => {
    const fields = withEmptyFields({ "f:spec": { "f:resources": {}, "f:replicas": {} } }, { spec: { resources: {}, replicas: 2 } });
    const at = (resources: JsonValue | undefined, own: JsonObject) =>
      projectionHash(
        live((object) => {
          if (resources !== undefined) spec(object)["resources"] = resources;
          (object["metadata"] as JsonObject)["managedFields"] = [{ manager: FIELD_MANAGER, operation: "Apply", fieldsV1: own }];
        }),
        fields,
      );
    const kept = { "f:spec": { "f:resources": {}, "f:replicas": {} } };
    const lost = { "f:spec": { "f:replicas": {} } };
    const ours = at({}, kept);
    expect(at({ limits: { cpu: "1" } }, kept)).toBe(ours);
    expect(at({ limits: { cpu: "1" } }, lost)).not.toBe(ours);
    expect(at({}, lost)).toBe(ours);
    expect(at(undefined, lost)).not.toBe(ours);
  });

  it("tells a missing field from null, and is not fooled by names of Object's own", () => {
    expect(projectionHash(live(), { "f:constructor": {} })).not.toBe(
      projectionHash(
        live((object) => {
          object["constructor"] = null;
        }),
        { "f:constructor": {} },
      ),
    );
  });
});

describe("a field set", () => {
  it("is the one of our own applies, never of an update, a status or somebody else", () => {
    const entry = (manager: string, operation: string, more: JsonObject = {}) => ({
      manager,
      operation,
      fieldsV1: { [`f:${manager}`]: {} },
      ...more,
    });
    const object = live((one) => {
      (one["metadata"] as JsonObject)["managedFields"] = [
        entry("kubectl", "Apply"),
        entry(FIELD_MANAGER, "Update"),
        entry(FIELD_MANAGER, "Apply", { subresource: "status" }),
        entry(FIELD_MANAGER, "Apply"),
      ];
    });
    expect(ownedFields(object)).toEqual({ [`f:${FIELD_MANAGER}`]: {} });
    expect(ownedFields(live())).toBeUndefined();
  });

  it("is told as paths that a person can read", () => {
    expect(fieldPaths(FIELDS)).toEqual([
      ".metadata.labels.app",
      ".metadata.labels[example.com/tier]",
      ".spec.replicas",
      ".spec.template.spec.containers[name=web].name",
      ".spec.template.spec.containers[name=web].image",
      ".spec.template.spec.containers[name=web].ports[containerPort=80,protocol=TCP].containerPort",
      '.spec.finalizers["example.com/x"]',
    ]);
  });

  it("meets another in what both name, the finer one telling more", () => {
    expect(intersect({ "f:a": { "f:b": {}, "f:c": {} } }, { "f:a": { "f:c": {}, "f:d": {} } })).toEqual({ "f:a": { "f:c": {} } });
    expect(intersect({ "f:a": {} }, { "f:a": { "f:b": {} } })).toEqual({ "f:a": { "f:b": {} } });
    expect(intersect({ "f:a": { "f:b": {} } }, { "f:x": {} })).toEqual({});
  });

  it("says what an object lacks of it", () => {
    expect(
      missingIn(
        live((object) => {
          delete spec(object)["replicas"];
        }) as unknown as JsonObject,
        FIELDS,
      ),
    ).toEqual({ "f:spec": { "f:replicas": {} } });
    expect(missingIn(live() as unknown as JsonObject, FIELDS)).toEqual({});
  });

  it("names of what the manifest leaves empty the existence only, and of labels and annotations not even that", () => {
    const fields = {
      "f:metadata": { "f:annotations": {}, "f:labels": { "f:app": {} } },
      "f:spec": { "f:selector": {}, "f:args": {}, "f:replicas": {}, "f:template": { "f:metadata": { "f:annotations": {} } } },
    };
    const manifest = {
      metadata: { annotations: {}, labels: { app: "web" } },
      spec: { selector: {}, args: [], replicas: 0, template: { metadata: { annotations: {} } } },
    };
    expect(withEmptyFields(fields, manifest)).toEqual({
      "f:metadata": { "f:labels": { "f:app": {} } },
      "f:spec": { "f:selector": { ".": {} }, "f:args": { ".": {} }, "f:replicas": {} },
    });
    expect(withEmptyFields(FIELDS, live() as unknown as JsonObject)).toEqual(withEmptyFields(FIELDS, undefined));
  });

  it("loses what ignore rules cover, also in list items, and nothing beside", () => {
    expect(
      fieldPaths(
        withoutIgnored(FIELDS, ["/spec/replicas", "/metadata/labels/example.com~1tier", "/spec/template/spec/containers/*/image"]),
      ),
    ).toEqual([
      ".metadata.labels.app",
      ".spec.template.spec.containers[name=web].name",
      ".spec.template.spec.containers[name=web].ports[containerPort=80,protocol=TCP].containerPort",
      '.spec.finalizers["example.com/x"]',
    ]);
    expect(withoutIgnored(FIELDS, ["/spec"])).toEqual({ "f:metadata": FIELDS["f:metadata"] });
  });

  it("RFC 6901: ~1 is a slash and ~0 a tilde, in this order", () => {
    expect(pointerTokens("/a~1b/m~0n/~01/")).toEqual(["a/b", "m~n", "~1", ""]);
  });
});

describe("the explanation of a drift", () => {
  const managed =
    (...entries: JsonObject[]) =>
    (object: JsonObject) => {
      (object["metadata"] as JsonObject)["managedFields"] = entries;
    };
  const by = (manager: string, time: string, fieldsV1: JsonObject, more: JsonObject = {}) => ({
    manager,
    operation: "Update",
    time,
    fieldsV1,
    ...more,
  });
  const REPLICAS = { "f:spec": { "f:replicas": {} } };

  it("names who took which fields of ours, the latest first, and never a value", () => {
    const object = live(
      managed(
        by("hpa", "2026-10-05T03:00:00Z", REPLICAS),
        by("kubectl-edit", "2026-10-05T03:12:00Z", { "f:metadata": { "f:labels": { "f:app": {}, "f:other": {} } } }),
      ),
    );
    const told = explainDrift(FIELDS, object);
    expect(told).toEqual({
      kind: "modified",
      manager: "kubectl-edit",
      at: "2026-10-05T03:12:00Z",
      paths: [".metadata.labels.app", ".spec.replicas"],
    });
  });

  it("names who has scaled, though that is a subresource", () => {
    const object = live(managed(by("kube-controller-manager", "2026-10-05T03:12:00Z", REPLICAS, { subresource: "scale" })));
    expect(explainDrift(FIELDS, object)).toMatchObject({ manager: "kube-controller-manager", paths: [".spec.replicas"] });
  });

  it("is silent about what others put into a container that we left empty, until it is taken from us", () => {
    const filled = by("vpa", "2026-10-05T03:12:00Z", { "f:spec": { "f:resources": { "f:limits": {} } } });
    const recorded = { "f:spec": { "f:resources": { ".": {} }, "f:replicas": {} } };
    const own = (fieldsV1: JsonObject) => ({ manager: FIELD_MANAGER, operation: "Apply", fieldsV1 });
    const told = (fieldsV1: JsonObject) =>
      explainDrift(
        recorded,
        live((object) => {
          spec(object)["resources"] = { limits: {} };
          managed(filled, own(fieldsV1))(object);
        }),
      ).paths;
    expect(told({ "f:spec": { "f:resources": {}, "f:replicas": {} } })).toEqual([]);
    expect(told({ "f:spec": { "f:replicas": {} } })).toEqual([".spec.resources.limits"]);
  });

  it("blames nobody for a status or for fields that are not ours", () => {
    const object = live(managed(by("controller", "2026-10-05T03:12:00Z", REPLICAS, { subresource: "status" })));
    expect(explainDrift(FIELDS, object)).toEqual({ kind: "modified", paths: [] });
  });

  it("of a field that is gone guesses the last other writer", () => {
    const object = live((one) => {
      delete spec(one)["replicas"];
      managed(by("kubectl-patch", "2026-10-05T03:12:00Z", { "f:x": {} }))(one);
    });
    expect(explainDrift(FIELDS, object)).toMatchObject({ manager: "kubectl-patch", paths: [".spec.replicas"] });
  });

  it("names 20 fields at most", () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`f:k${index}`, {}]));
    expect(explainDrift({ "f:data": many }, live(managed(by("x", "", { "f:data": many })))).paths).toHaveLength(20);
  });
});
