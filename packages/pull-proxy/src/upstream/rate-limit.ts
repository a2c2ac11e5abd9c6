import type { RateLimit } from '../status/upstream-stats.ts'

/** Reads an answer's `ratelimit-remaining: 76;w=21600` (Docker Hub); undefined when it says nothing of a limit. */
export function readRateLimit(headers: Readonly<Record<string, string>>): RateLimit | undefined {
  const remaining = readQuota(headers['ratelimit-remaining'])
  if (remaining === undefined) return undefined
  const limit = readQuota(headers['ratelimit-limit'])
  return { remaining: remaining.count, limit: limit?.count, windowS: remaining.windowS ?? limit?.windowS }
}

function readQuota(header: string | undefined): { count: number; windowS: number | undefined } | undefined {
  const match = /^(\d{1,12})(?:\s*;\s*w=(\d{1,9}))?\s*$/.exec(header ?? '')
  if (match === null) return undefined
  return { count: Number(match[1]), windowS: match[2] === undefined ? undefined : Number(match[2]) }
}
