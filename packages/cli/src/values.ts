import { readFileSync } from 'node:fs'
import { UsageError } from './usage-error.ts'

/** Reads `HOST:PORT`; an IPv6 address stands in brackets. @throws {UsageError} */
export function parseAddress(setting: string, text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) throw new UsageError(setting, text, 'HOST:PORT, such as 127.0.0.1:5050')
  return { host: match[1] ?? match[2]!, port }
}

/** Reads an http or https URL without credentials. @throws {UsageError} */
export function parseHttpUrl(setting: string, text: string): URL {
  const url = URL.parse(text)
  const isPlain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (isPlain && /^https?:$/.test(url.protocol)) return url
  throw new UsageError(setting, redact(text), 'an http or https URL without user, query and fragment')
}

/** Reads `NAME=URL`, the name being a registry's host with or without port. @throws {UsageError} */
export function parseUpstream(setting: string, text: string): { name: string; url: URL } {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals))
  if (!/^[a-z0-9.-]+(?::\d{1,5})?$/.test(name)) {
    throw new UsageError(setting, redact(text), 'NAME=URL, such as docker.io=https://registry-1.docker.io')
  }
  return { name, url: parseHttpUrl(setting, text.slice(equals + 1)) }
}

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const
/** A timer that is told to wait longer (2³¹ ms or more) does not wait at all. */
const MAX_HOURS = 500

/** Reads a duration such as `500ms`, `10s`, `5m` or `1h`, as milliseconds. @throws {UsageError} */
export function parseDuration(setting: string, text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text)
  const ms = Number(match?.[1]) * UNITS_MS[match?.[2] as keyof typeof UNITS_MS]
  if (ms <= MAX_HOURS * UNITS_MS.h) return ms
  throw new UsageError(setting, text, `a duration such as 500ms, 10s, 5m or 1h, at most ${MAX_HOURS}h`)
}

/** Reads a file of secrets, one a line; empty lines and lines that begin with `#` do not count. @throws {UsageError} */
export function readTokens(setting: string, path: string): string[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(setting, path, `a file that can be read (${(error as Error).message})`)
  }
  const tokens = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  if (tokens.length === 0) throw new UsageError(setting, path, 'a file with at least one token in it')
  const bad = tokens.findIndex((token) => !/^[!-~]+$/.test(token))
  if (bad >= 0) throw new UsageError(setting, `${path}, token ${bad + 1}`, 'printable characters without spaces')
  return tokens
}

/** A URL in an error message shows no credentials. */
function redact(text: string): string {
  return text.replace(/\/\/[^@/]*@/, '//…@')
}
