import { ANY_UPSTREAM } from '@layerlock/proxy'
import { keyIn } from './key-in.ts'
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

/** Reads `NAME=URL`, the name being a registry's host with or without port, or `*` alone. @throws {UsageError} */
export function parseUpstream(setting: string, text: string): { name: string; url?: URL } {
  if (text === ANY_UPSTREAM) return { name: text }
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals))
  if (!isHost(name)) {
    throw new UsageError(setting, redact(text), 'NAME=URL, such as docker.io=https://registry-1.docker.io, or * alone')
  }
  return { name, url: parseHttpUrl(keyIn(setting, name), text.slice(equals + 1)) }
}

/** Whether a text is a registry's host, with or without port. */
export function isHost(text: string): boolean {
  return /^[a-z0-9.-]+(?::\d{1,5})?$/.test(text)
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

/** Reads a duration that is not nothing. @throws {UsageError} */
export function parsePositiveDuration(setting: string, text: string): number {
  const ms = parseDuration(setting, text)
  if (ms > 0) return ms
  throw new UsageError(setting, text, 'more than 0s')
}

const UNITS_BYTES = { KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 } as const

/** Reads a size such as `65536`, `64KiB`, `1MiB` or `2GiB`, as bytes; at least 1. @throws {UsageError} */
export function parseSize(setting: string, text: string): number {
  const match = /^(\d{1,15})(KiB|MiB|GiB)?$/.exec(text)
  const unit = match?.[2] as keyof typeof UNITS_BYTES | undefined
  const bytes = Number(match?.[1]) * (unit === undefined ? 1 : UNITS_BYTES[unit])
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
  throw new UsageError(setting, text, 'a size such as 65536, 64KiB or 1MiB, at least 1')
}

/** Reads how many there may be: a whole number, at least 1. @throws {UsageError} */
export function parseCount(setting: string, text: string): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (count >= 1) return count
  throw new UsageError(setting, text, 'a whole number, at least 1')
}

/** A URL in an error message shows no credentials, wherever somebody has put them. */
function redact(text: string): string {
  return text.replace(/(^[^=/]*=|)(?:.*\/\/)?.*@/, '$1…@').replace(/[?#].*$/, '?…')
}
