import type { OpenSession } from '@layerlock/protocol'
import type { CheckedOptions } from './client-options.ts'

/** What a client's options say of its session. */
export function sessionRequest({
  node,
  endpoint,
  sessionTtlMs,
  disconnectGraceMs,
  resume,
}: CheckedOptions): OpenSession {
  return {
    node,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(sessionTtlMs === undefined ? {} : { ttlMs: sessionTtlMs }),
    ...(disconnectGraceMs === undefined ? {} : { disconnectGraceMs }),
    ...(resume === undefined ? {} : { resume }),
  }
}
