/** Fields of a form over JSON: what is left empty is left out, and the job type's default holds. */

import { useId, useState } from "preact/hooks";
import type { Json, JsonObject } from "../types";
import { type Field, fitting, parsedLines, shownDefault } from "./schema";

export interface Editing {
  field: Field;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  /** What the API said, by the path of the field. */
  errors: Map<string, string>;
}

export function FieldView(editing: Editing) {
  const { field, errors } = editing;
  const id = useId();
  const error = errors.get(field.path);
  const described = `${id}-about`;
  if (field.kind.is === "group" || field.kind.is === "choice") return <Nested {...editing} />;
  if (field.kind.is === "flag") return <Flag {...editing} />;
  return (
    <div class={error ? "form-field wrong" : "form-field"} data-field={field.path}>
      <label for={id}>
        {field.title}
        {field.required && <span class="required"> needed</span>}
      </label>
      <Control {...editing} id={id} described={described} />
      <p id={described} class="about">
        {error && <span class="error-line">{error} </span>}
        {field.description}
        {hint(field)}
      </p>
    </div>
  );
}

function hint(field: Field): string {
  const parts: string[] = [];
  if (field.kind.is === "number" && (field.kind.least !== undefined || field.kind.most !== undefined)) {
    parts.push(`${field.kind.least ?? "…"} to ${field.kind.most ?? "…"}`);
  }
  if (field.kind.is === "lines") parts.push(field.kind.numbers ? "numbers, separated by commas" : "one a line");
  return parts.length ? `${field.description ? " · " : ""}${parts.join(" · ")}` : "";
}

type ControlProps = Editing & { id: string; described: string };

function Control({ field, value, onChange, errors, id, described }: ControlProps) {
  const common = {
    id,
    "aria-describedby": described,
    "aria-invalid": errors.has(field.path),
    "aria-required": field.required,
    "data-path": field.path,
  };
  const empty = shownDefault(field.fallback);
  switch (field.kind.is) {
    case "option": {
      const { options } = field.kind;
      const at = options.findIndex((one) => one === value);
      return (
        <select
          {...common}
          value={String(at)}
          onChange={(event) => {
            const n = Number(event.currentTarget.value);
            onChange(n < 0 ? undefined : options[n]);
          }}
        >
          <option value="-1">{empty ? `${empty} (default)` : field.required ? "choose …" : "not set"}</option>
          {options.map((one, n) => (
            <option key={n} value={String(n)}>
              {String(one)}
            </option>
          ))}
        </select>
      );
    }
    case "number":
      return (
        <input
          {...common}
          inputMode="decimal"
          placeholder={empty}
          value={value === undefined || value === null ? "" : String(value)}
          onInput={(event) => {
            const text = event.currentTarget.value.trim();
            // What is no number is sent as it is: the API says so at this field.
            onChange(text === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);
          }}
        />
      );
    case "lines":
      return <Lines {...common} field={field} value={value} onChange={onChange} numbers={field.kind.numbers} />;
    case "json":
      return <RawJson {...common} value={value} onChange={onChange} placeholder={JSON.stringify(field.fallback ?? null)} />;
    default: {
      const text = typeof value === "string" ? value : "";
      const change = (event: { currentTarget: { value: string } }) => onChange(event.currentTarget.value || undefined);
      const placeholder = field.kind.is === "text" && field.kind.format === "date-time" ? "2026-05-01T00:00:00Z" : empty;
      if (field.kind.is === "text" && field.kind.long) {
        return <textarea {...common} rows={3} value={text} placeholder={placeholder} onInput={change} spellcheck={false} />;
      }
      return (
        <>
          <input {...common} value={text} placeholder={placeholder} onInput={change} spellcheck={false} autocomplete="off" />
          {field.kind.is === "text" && field.kind.mayBeEmpty && field.nullable && (
            <label class="inline">
              <input
                type="checkbox"
                checked={value === ""}
                onChange={(event) => onChange(event.currentTarget.checked ? "" : undefined)}
              />
              <span>given as empty text, not left out</span>
            </label>
          )}
        </>
      );
    }
  }
}

function Lines(props: {
  id: string;
  field: Field;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  numbers: boolean;
}) {
  const { field, value, onChange, numbers, ...common } = props;
  const written = Array.isArray(value) ? value.join(numbers ? ", " : "\n") : "";
  const [text, setText] = useState(written);
  return (
    <textarea
      {...common}
      rows={numbers ? 1 : 2}
      value={text}
      placeholder={shownDefault(field.fallback)}
      spellcheck={false}
      onInput={(event) => {
        setText(event.currentTarget.value);
        const items = parsedLines(event.currentTarget.value, numbers);
        onChange(items.length ? items : undefined);
      }}
    />
  );
}

function RawJson(props: {
  id: string;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  placeholder: string;
}) {
  const { value, onChange, ...common } = props;
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value));
  return (
    <textarea
      {...common}
      rows={2}
      class="mono"
      value={text}
      spellcheck={false}
      onInput={(event) => {
        setText(event.currentTarget.value);
        try {
          onChange(event.currentTarget.value.trim() ? (JSON.parse(event.currentTarget.value) as Json) : undefined);
          event.currentTarget.setCustomValidity("");
        } catch {
          event.currentTarget.setCustomValidity("is not JSON yet");
        }
      }}
    />
  );
}

function Flag({ field, value, onChange, errors }: Editing) {
  const id = useId();
  const now = value ?? field.fallback ?? false;
  const error = errors.get(field.path);
  return (
    <div class={error ? "form-field flag wrong" : "form-field flag"} data-field={field.path}>
      <label>
        <input
          type="checkbox"
          checked={now === true}
          aria-describedby={id}
          data-path={field.path}
          onChange={(event) => {
            const { checked } = event.currentTarget;
            onChange(checked === (field.fallback ?? false) ? undefined : checked);
          }}
        />
        {field.title}
      </label>
      <p id={id} class="about">
        {error && <span class="error-line">{error} </span>}
        {field.description}
      </p>
    </div>
  );
}

function Nested(editing: Editing) {
  const { field, value, onChange, errors } = editing;
  const error = errors.get(field.path);
  const given = value !== undefined && value !== null;
  return (
    <fieldset class={error ? "form-group wrong" : "form-group"} data-field={field.path}>
      <legend>{field.title}</legend>
      <p class="about">
        {error && <span class="error-line">{error} </span>}
        {field.description}
      </p>
      {field.kind.is === "choice" ? (
        <Chosen {...editing} />
      ) : field.kind.is === "group" && !field.required && !given ? (
        <button type="button" class="small" onClick={() => onChange({})} data-path={field.path}>
          Set {field.title}
        </button>
      ) : field.kind.is === "group" ? (
        <>
          <ObjectFields fields={field.kind.fields} value={plain(value)} onChange={onChange} errors={errors} />
          {!field.required && (
            <button type="button" class="quiet small" onClick={() => onChange(undefined)}>
              Leave {field.title} out
            </button>
          )}
        </>
      ) : null}
    </fieldset>
  );
}

function Chosen({ field, value, onChange, errors }: Editing) {
  if (field.kind.is !== "choice") return null;
  const { choices } = field.kind;
  const [at, setAt] = useState(value === undefined ? -1 : fitting(choices, value));
  const chosen = choices[at];
  return (
    <>
      <select
        aria-label={`How ${field.title} is given`}
        data-path={field.path}
        value={String(at)}
        onChange={(event) => {
          const n = Number(event.currentTarget.value);
          setAt(n);
          const option = choices[n]?.field.kind;
          onChange(option?.is === "option" && option.options.length === 1 ? option.options[0] : undefined);
        }}
      >
        <option value="-1">{shownDefault(field.fallback) ? `${shownDefault(field.fallback)} (default)` : "not set"}</option>
        {choices.map((choice, n) => (
          <option key={n} value={String(n)}>
            {choice.label}
          </option>
        ))}
      </select>
      {chosen && !(chosen.field.kind.is === "option" && chosen.field.kind.options.length === 1) && (
        <FieldView key={at} field={chosen.field} value={value} onChange={onChange} errors={errors} />
      )}
    </>
  );
}

export function ObjectFields(props: {
  fields: Field[];
  value: JsonObject;
  onChange: (value: JsonObject) => void;
  errors: Map<string, string>;
}) {
  const change = (name: string, value: Json | undefined) => {
    const { [name]: _, ...others } = props.value;
    props.onChange(value === undefined ? others : { ...others, [name]: value });
  };
  return (
    <>
      {props.fields.map((field) => (
        <FieldView
          key={field.path}
          field={field}
          value={props.value[field.name]}
          onChange={(value) => change(field.name, value)}
          errors={props.errors}
        />
      ))}
    </>
  );
}

function plain(value: Json | undefined): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}
