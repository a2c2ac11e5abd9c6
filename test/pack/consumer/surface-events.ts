// As surface.ts: what the lock client tells, by `watch` and by `node:diagnostics_channel`.
import type {
  LeaseEndedMessage,
  LeaseLostMessage,
  LeaseMessage,
  LockClient,
  RequestRetryMessage,
  SessionLostMessage,
  SessionOpenedMessage,
  Watch,
  WatchEvent,
  WatchOptions,
} from '@layerlock/client'
import { isExactly } from './exactly.ts'

export async function watching(locks: LockClient, signal: AbortSignal): Promise<string | undefined> {
  const options: WatchOptions = { signal, lastEventId: undefined }
  const watch: Watch & AsyncDisposable = locks.watch('reports/', options)
  let lastId: string | undefined
  for await (const event of watch) {
    isExactly<WatchEvent>()(event)
    // @ts-expect-error: what was missed has no key
    void event.key
    if (event.type === 'missed') continue
    isExactly<string>()(event.key)
    isExactly<string | undefined>()(event.node)
    isExactly<number | undefined>()(event.fencingToken)
    isExactly<string | undefined>()(event.error?.code)
    lastId = event.id
    // @ts-expect-error: there is no such event
    if (event.type === 'renewed') break
  }
  isExactly<IteratorResult<WatchEvent, void>>()(await watch.next())
  await watch.return()
  return lastId
}

/** What is told on the channels `layerlock:client:…`. */
export interface Told {
  readonly 'session:opened': SessionOpenedMessage
  readonly 'session:lost': SessionLostMessage
  readonly 'lease:granted': LeaseMessage
  readonly 'lease:ended': LeaseEndedMessage
  readonly 'lease:lost': LeaseLostMessage
  readonly 'request:retry': RequestRetryMessage
}

export function describeMessages(told: Told): string[] {
  const { node, ttlMs, resumed } = told['session:opened']
  const { key, fencingToken, attempt, how } = told['lease:ended']
  const { retry, waitMs, error } = told['request:retry']
  isExactly<'complete' | 'fail' | 'release'>()(how)
  isExactly<LeaseMessage>()(told['lease:granted'])
  isExactly<unknown>()(told['lease:lost'].error)
  isExactly<Error>()(told['session:lost'].error)
  isExactly<Error>()(error)
  isExactly<boolean>()(resumed)
  return [node, key, how, ...[ttlMs, fencingToken, attempt, retry, waitMs].map((count) => count.toFixed())]
}
