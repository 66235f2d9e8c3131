// Shows /openapi.json as a page, from this server alone: no script of another site, and it works without internet.

import { getJson, keepKey, onKeyNeeded } from "./net.js";
import { element, render } from "./markdown.js";

const $ = (id) => document.getElementById(id);

onKeyNeeded(() => new Promise((resolve) => {
  $("key-form").hidden = false;
  $("key").focus();
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepKey($("key").value.trim());
    $("key-form").hidden = true;
    resolve();
  }, { once: true });
}));

const api = await getJson("/openapi.json");

function schemaOf(part) {
  return part?.$ref ? api.components.schemas[part.$ref.split("/").pop()] : part;
}

function example(part) {
  const schema = schemaOf(part) ?? {};
  if (schema.examples) return schema.examples[0];
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf[0]);
  if (schema.type === "array") return [example(schema.items)];
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, value]) => [name, example(value)]));
  }
  return { integer: 1, number: 0.5, boolean: true, string: schema.format === "date-time" ? "2026-01-31T12:00:00Z" : "..." }[schema.type] ?? null;
}

function withTitle(title, ...parts) {
  const out = document.createDocumentFragment();
  out.append(element("h3", title), ...parts);
  return out;
}

function json(value) {
  const block = element("pre");
  block.tabIndex = 0;
  block.append(element("code", JSON.stringify(value, null, 2)));
  return block;
}

function terms(pairs) {
  const made = element("dl");
  for (const [name, text] of pairs) made.append(element("dt", name), element("dd", text));
  return made;
}

function operation(method, path, told) {
  const section = element("section");
  const title = element("h2");
  title.append(element("b", method.toUpperCase()), ` ${path}`);
  section.append(title, element("p", told.description));
  if (told.parameters) {
    section.append(withTitle("In the address", terms(told.parameters.map((it) => [it.name, it.description ?? it.schema.anyOf?.[0].description ?? ""]))));
  }
  const body = schemaOf(told.requestBody?.content["application/json"].schema);
  if (body) {
    const fields = Object.entries(body.properties).map(([name, field]) => [name, field.description ?? field.anyOf?.[0].description ?? ""]);
    section.append(withTitle("Send", json(example(body)), terms(fields)));
  }
  for (const [status, answer] of Object.entries(told.responses)) {
    const schema = answer.content?.["application/json"]?.schema;
    if (status === "200" && schema) section.append(withTitle("You get", json(example(schema))));
  }
  const others = Object.entries(told.responses).filter(([status]) => status !== "200");
  if (others.length) section.append(withTitle("Or an error", terms(others.map(([status, answer]) => [status, answer.description]))));
  return section;
}

$("title").textContent = api.info.title;
document.title = api.info.title;
$("description").append(render(api.info.description.trim()));
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, told] of Object.entries(methods)) $("operations").append(operation(method, path, told));
}
