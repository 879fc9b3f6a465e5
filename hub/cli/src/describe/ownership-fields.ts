import type { Ownership } from "../api-views.ts";

/** What is said of whose the objects are; nothing where it is as usual. */
export function ownershipFields({ adoption, onRemoval, serviceAccount }: Ownership): readonly (readonly [string, string | undefined])[] {
  return [
    ["Acts as", serviceAccount && `ServiceAccount ${serviceAccount}`],
    ["Adoption", adoption],
    ["On removal", onRemoval],
  ];
}
