/** JSON Schema, as Pydantic writes it of a job type's parameters, read as fields of a form. */

import type { Json, JsonObject } from "../types";

export interface Choice {
  label: string;
  field: Field;
}

export type Kind =
  | { is: "text"; mayBeEmpty: boolean; long?: boolean; pattern?: string; format?: string }
  | { is: "number"; whole: boolean; least?: number; most?: number }
  | { is: "flag" }
  | { is: "option"; options: Json[] }
  | { is: "lines"; whole?: boolean; numbers: boolean }
  | { is: "group"; fields: Field[] }
  | { is: "choice"; choices: Choice[] }
  | { is: "json" };

export interface Field {
  /** Where it is in the parameters, as the API names it in its errors. */
  path: string;
  name: string;
  title: string;
  description: string;
  required: boolean;
  /** Whether null may be given: the same as leaving it out, where null is the default. */
  nullable: boolean;
  fallback: Json | undefined;
  kind: Kind;
}

const LONG_TEXT = 1000;

/** The fields of an object's schema. */
export function fieldsOf(schema: JsonObject, root: JsonObject = schema, path = ""): Field[] {
  const properties = object(schema.properties);
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(properties).map(([name, member]) =>
    fieldOf(name, object(member), root, path ? `${path}.${name}` : name, required.has(name)),
  );
}

function fieldOf(name: string, given: JsonObject, root: JsonObject, path: string, required: boolean): Field {
  const outer = resolved(given, root);
  const variants = alternatives(outer, root);
  const nullable = variants.some((one) => one.type === "null");
  const real = variants.filter((one) => one.type !== "null");
  const only = real.length === 1 ? real[0] : undefined;
  const schema = only ?? outer;
  return {
    path,
    name,
    title: name.replaceAll("_", " "),
    description: String(outer.description ?? schema.description ?? "").split("\n\n")[0] ?? "",
    required,
    nullable,
    fallback: outer.default,
    kind: only ? kindOf(only, root, path) : choiceOf(real, root, path, name),
  };
}

function choiceOf(variants: JsonObject[], root: JsonObject, path: string, name: string): Kind {
  const choices = variants.map((variant, n) => ({
    label: labelOf(variant, n),
    field: { ...fieldOf(name, variant, root, path, false), required: true },
  }));
  return choices.length > 0 ? { is: "choice", choices } : { is: "json" };
}

function labelOf(schema: JsonObject, n: number): string {
  if (schema.const !== undefined) return String(schema.const);
  if (Array.isArray(schema.enum)) return "one of a list";
  if (schema.type === "object" || schema.properties) return String(schema.title ?? "details");
  const names: Record<string, string> = { string: "text", integer: "number", number: "number", array: "list", boolean: "yes or no" };
  return names[String(schema.type)] ?? `variant ${n + 1}`;
}

function kindOf(schema: JsonObject, root: JsonObject, path: string): Kind {
  if (Array.isArray(schema.enum)) return { is: "option", options: schema.enum };
  if (schema.const !== undefined) return { is: "option", options: [schema.const] };
  switch (schema.type) {
    case "string":
      return {
        is: "text",
        // Where it means something its description says so: most fields without a shortest length take none either.
        mayBeEmpty: !schema.minLength && /\bempty\b/i.test(String(schema.description ?? "")),
        long: typeof schema.maxLength === "number" && schema.maxLength > LONG_TEXT * 5,
        ...(typeof schema.pattern === "string" ? { pattern: schema.pattern } : {}),
        ...(typeof schema.format === "string" ? { format: schema.format } : {}),
      };
    case "integer":
    case "number": {
      const [least, most] = [bound(schema.minimum), bound(schema.maximum)];
      return {
        is: "number",
        whole: schema.type === "integer",
        ...(least === undefined ? {} : { least }),
        ...(most === undefined ? {} : { most }),
      };
    }
    case "boolean":
      return { is: "flag" };
    case "array":
      return listOf(schema, root);
    case "object":
      return schema.properties ? { is: "group", fields: fieldsOf(schema, root, path) } : { is: "json" };
    default:
      return { is: "json" };
  }
}

function listOf(schema: JsonObject, root: JsonObject): Kind {
  const items = resolved(object(schema.items), root);
  if (items.type === "string") return { is: "lines", numbers: false };
  if (items.type === "integer" || items.type === "number") return { is: "lines", numbers: true };
  return { is: "json" };
}

/** What a $ref leads to, with what is said beside it. */
function resolved(schema: JsonObject, root: JsonObject): JsonObject {
  if (typeof schema.$ref !== "string") return schema;
  let found: Json | undefined = root;
  for (const step of schema.$ref.replace(/^#\//, "").split("/")) found = object(found)[step];
  const { $ref: _, ...beside } = schema;
  return { ...resolved(object(found), root), ...beside };
}

function alternatives(schema: JsonObject, root: JsonObject): JsonObject[] {
  const several = Array.isArray(schema.anyOf) ? schema.anyOf : Array.isArray(schema.oneOf) ? schema.oneOf : undefined;
  if (!several) return [schema];
  return several.map((one) => resolved(object(one), root)).flatMap((one) => alternatives(one, root));
}

function object(value: Json | undefined): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** Limits that are only those of the type are not worth mentioning. */
function bound(value: Json | undefined): number | undefined {
  return typeof value === "number" && Math.abs(value) < 2 ** 53 ? value : undefined;
}

/** The first choice that a value fits, by its type. */
export function fitting(choices: Choice[], value: Json): number {
  const fits = ({ field }: Choice): boolean => {
    switch (field.kind.is) {
      case "text":
        return typeof value === "string";
      case "number":
        return typeof value === "number";
      case "flag":
        return typeof value === "boolean";
      case "option":
        return field.kind.options.includes(value as never);
      case "lines":
        return Array.isArray(value);
      case "group":
        return value !== null && typeof value === "object" && !Array.isArray(value);
      default:
        return true;
    }
  };
  const found = choices.findIndex(fits);
  return found < 0 ? 0 : found;
}

/** What a list of lines says; numbers may also be separated by commas or spaces. */
export function parsedLines(text: string, numbers: boolean): Json[] {
  if (!numbers) {
    return text
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  }
  return text
    .split(/[\s,;]+/)
    .filter(Boolean)
    .map((word) => (Number.isFinite(Number(word)) ? Number(word) : word));
}

export function shownDefault(value: Json | undefined): string {
  if (value === undefined || value === null || value === "") return "";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "";
  return typeof value === "object" ? "" : String(value);
}
