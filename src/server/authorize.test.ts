import { Metadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { SandlotError } from "../errors.ts";
import { authorizer } from "./authorize.ts";

const authorize = authorizer([
  { token: "train", scopes: ["rollout"] },
  { token: "look", scopes: ["hidden"] },
  { token: "root", scopes: ["admin"] },
]);

test("a token gives its own scopes, and admin gives all of them", () => {
  expect([...authorize(header("Bearer train"), "rollout")]).toEqual(["rollout"]);
  expect([...authorize(header("bearer root"), "rollout")].sort()).toEqual(["admin", "hidden", "rollout", "sandbox"]);
});

test("a call without a token, or with one that nobody knows, is unauthenticated", () => {
  expect(fault(() => authorize(new Metadata(), "rollout"))).toBe("unauthenticated");
  expect(fault(() => authorize(header("Basic train"), "rollout"))).toBe("unauthenticated");
  expect(fault(() => authorize(header("Bearer trai"), "rollout"))).toBe("unauthenticated");
  expect(fault(() => authorize(header("Bearer trainx"), "rollout"))).toBe("unauthenticated");
});

test("a token without the scope that a call needs is forbidden", () => {
  expect(fault(() => authorize(header("Bearer look"), "rollout"))).toBe("forbidden");
});

test("a server without tokens gives everybody all but the names of hidden tests", () => {
  const scopes = authorizer([])(new Metadata(), "rollout");
  expect(scopes.has("rollout")).toBe(true);
  expect(scopes.has("hidden")).toBe(false);
});

function header(value: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", value);
  return metadata;
}

function fault(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SandlotError) return error.fault;
  }
  return "none";
}
