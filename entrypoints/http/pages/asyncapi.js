"use strict";

// Every word of the document is put in as text, never as HTML.
function element(name, text, parent, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  parent.appendChild(made);
  return made;
}

function resolved(whole, value) {
  const reference = value && value["$ref"];
  if (!reference) return value;
  return reference.slice(2).split("/").reduce((found, step) => found[step], whole);
}

function kind(whole, schema) {
  if (schema["$ref"]) return schema["$ref"].split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length > 9 ? "one of " + schema.enum.length : schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.length > 9 ? "any" : schema.anyOf.map((one) => kind(whole, one)).join(" | ");
  if (schema.type === "array") return "list of " + kind(whole, schema.items || {});
  const values = schema.additionalProperties;
  if (schema.type === "object" && values && values !== true) return "map of " + kind(whole, values);
  return [schema.type, schema.format].filter(Boolean).join(", ") || "any";
}

function members(whole, schema, parent) {
  const table = element("table", "", parent);
  for (const [name, member] of Object.entries(schema.properties || {})) {
    const row = element("tr", "", table);
    element("th", name + ((schema.required || []).includes(name) ? "" : "?"), row);
    element("td", kind(whole, member), row, "kind");
    element("td", member.description || "", row);
  }
  if (!table.firstChild) element("p", "Nothing of its own.", parent);
}

function channel(whole, name, described, parent) {
  const box = element("details", "", parent);
  box.id = name;
  const head = element("summary", "", box);
  element("code", described.address, head);
  element("span", described.description, head);
  for (const reference of Object.values(described.messages)) {
    const message = resolved(whole, reference);
    if (message["x-schema-version"]) element("p", "Schema version " + message["x-schema-version"], box);
    members(whole, resolved(whole, message.payload), box);
  }
}

function schemas(whole, names, parent) {
  for (const name of names) {
    const box = element("details", "", parent);
    box.id = "schema-" + name;
    element("code", name, element("summary", "", box));
    members(whole, whole.components.schemas[name], box);
  }
}

function page(whole, parent) {
  element("h1", whole.info.title + " " + whole.info.version, parent);
  element("p", whole.info.description, parent);
  const find = element("input", "", parent);
  find.type = "search";
  find.placeholder = "Find a subject";
  find.setAttribute("aria-label", "Find a subject");
  const list = element("section", "", parent);
  for (const [name, described] of Object.entries(whole.channels)) channel(whole, name, described, list);
  find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase();
    for (const box of list.children) box.hidden = !box.firstChild.textContent.toLowerCase().includes(wanted);
  });
  element("h2", "What surrounds them", parent);
  schemas(whole, ["EventHeaders", "TwinHeaders", "Told"], parent);
  element("h2", "What they hold", parent);
  schemas(whole, Object.keys(whole.components.schemas).filter((name) => /^[A-Z]\w+$/.test(name)), parent);
}

fetch("/asyncapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error("status " + answer.status))))
  .then((whole) => page(whole, document.getElementById("page")))
  .catch((problem) => element("p", "The document cannot be read: " + problem.message, document.getElementById("page")));
