/** How is the server asked, and what does a refusal say? */

export class QueryError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Address of an EDR query; parameters without a value are left out. */
export function queryUrl(collection, kind, parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `${collection}/${kind}?${new URLSearchParams(pairs)}`;
}

/** Get a JSON document, or throw a QueryError whose message a person can read. */
export async function getJson(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal, headers: { Accept: "application/vnd.cov+json, application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new QueryError("The server cannot be reached.", 0);
  }
  if (response.status === 204) throw new QueryError("There is no data at this place.", 204);
  const text = await response.text();
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new QueryError(`The server answered ${response.status} with something that is not JSON.`, response.status);
  }
  if (!response.ok) throw new QueryError(problemText(document, response.status), response.status);
  return document;
}

/** One or two sentences out of a problem document (RFC 9457) or an OGC exception. */
export function problemText(problem, status) {
  const sentence = (text) => {
    const trimmed = String(text).trim();
    return trimmed && trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
  };
  const parts = [problem.detail ?? problem.description ?? problem.title ?? `The server answered ${status}`];
  if (typeof problem.valid === "string") parts.push(`Valid: ${problem.valid}`);
  if (status === 413) parts.unshift("The server refused this query as too large");
  return parts.map(sentence).join(" ");
}
