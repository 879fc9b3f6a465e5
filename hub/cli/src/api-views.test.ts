import { expect, it } from "vitest";
import type { InspectionView } from "../../src/agents/commands.ts";
import type * as Hub from "../../src/status/views.ts";
import type * as Cli from "./api-views.ts";

/** Compiles only if each of both types can stand for the other. */
function held<A, B>(_there: (a: A) => B, _back: (b: B) => A): true {
  return true;
}

it("what the CLI relies on is what the hub gives", () => {
  expect([
    held<Cli.Cluster, Hub.ClusterView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Bundle, Hub.BundleView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Target, Hub.TargetView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.TargetDetail, Hub.TargetDetailView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Drift, Hub.DriftView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Revision, Hub.RevisionView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.FleetEvent, Hub.EventView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Fleet, Hub.FleetView>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.ChangeNotice, Hub.ChangeNotice>(
      (a) => a,
      (b) => b,
    ),
    held<Cli.Inspection, InspectionView>(
      (a) => a,
      (b) => b,
    ),
  ]).not.toContain(false);
});
