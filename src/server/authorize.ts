import { createHash, timingSafeEqual } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import { SandlotError } from "../errors.ts";

/** `rollout`: everything a trainer does. `sandbox`: SandboxService and bare sandboxes. `hidden`: names of hidden tests travel. `admin`: all of it. */
export type Scope = "rollout" | "sandbox" | "hidden" | "admin";
export type Scopes = ReadonlySet<Scope>;

export interface Token {
  readonly token: string;
  readonly scopes: readonly Scope[];
}

/** What may be done without a token where the server has none: it then listens on loopback only. */
const OPEN: Scopes = new Set<Scope>(["rollout", "sandbox", "admin"]);

/**
 * Looks at the `authorization: Bearer TOKEN` header. Throws `unauthenticated` when it is missing or unknown, `forbidden`
 * when the token lacks `needed`. The time it takes does not depend on how much of a token is right.
 */
export function authorizer(tokens: readonly Token[]): (metadata: Metadata, needed: Scope) => Scopes {
  if (tokens.length === 0) return () => OPEN;
  const known = tokens.map(({ token, scopes }) => ({ digest: digest(token), scopes: widened(scopes) }));
  return (metadata, needed) => {
    const presented = digest(bearer(metadata));
    let found: Scopes | undefined;
    for (const { digest: expected, scopes } of known) if (timingSafeEqual(expected, presented)) found = scopes;
    if (!found) throw new SandlotError("unauthenticated", "The token is not one of this server's", { knob: TOKENS });
    refuseWithout(found, needed);
    return found;
  };
}

/** Fault `forbidden`. */
export function refuseWithout(scopes: Scopes, needed: Scope): void {
  if (scopes.has(needed)) return;
  throw new SandlotError("forbidden", `This call needs a token with scope "${needed}"`, { knob: TOKENS });
}

function bearer(metadata: Metadata): string {
  const [header] = metadata.get("authorization");
  const [, token] = /^bearer +(\S+) *$/i.exec(typeof header === "string" ? header : "") ?? [];
  if (token === undefined)
    throw new SandlotError("unauthenticated", "This server expects the metadata `authorization: Bearer TOKEN`", {
      knob: TOKENS,
    });
  return token;
}

/** What sets them. */
export const TOKENS = "SANDLOT_TOKEN_<NAME>";

const digest = (token: string): Buffer => createHash("sha256").update(token).digest();

const widened = (scopes: readonly Scope[]): Scopes =>
  new Set<Scope>(scopes.includes("admin") ? ["rollout", "sandbox", "hidden", "admin"] : scopes);
