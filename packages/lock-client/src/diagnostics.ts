import { channel } from 'node:diagnostics_channel'

/**
 * What the client tells through `node:diagnostics_channel`, for traces and metrics:
 *
 * | channel                           | message                       | when                                              |
 * | --------------------------------- | ----------------------------- | ------------------------------------------------- |
 * | `layerlock:client:session:opened` | {@link SessionOpenedMessage}  | a session was opened                              |
 * | `layerlock:client:session:lost`   | {@link SessionLostMessage}    | it ended by something else than `close()`         |
 * | `layerlock:client:lease:granted`  | {@link LeaseMessage}          | a lease was granted                               |
 * | `layerlock:client:lease:ended`    | {@link LeaseEndedMessage}     | it was completed, failed or released              |
 * | `layerlock:client:lease:lost`     | {@link LeaseLostMessage}      | it ended by something else                        |
 * | `layerlock:client:request:retry`  | {@link RequestRetryMessage}   | something failed for a passing reason; it is tried again after `waitMs` |
 *
 * Messages are made only while somebody listens. Of a lease, loss and end are told if somebody listened when it was
 * granted. Session ids are never told: who knows one can act for the session.
 */
export interface SessionOpenedMessage {
  readonly node: string
  readonly ttlMs: number
  /** Whether the copies of a predecessor were taken over. */
  readonly resumed: boolean
}

export interface SessionLostMessage {
  readonly node: string
  readonly error: Error
}

export interface LeaseMessage {
  readonly key: string
  readonly fencingToken: number
  /** 1 plus the failures in a row before this grant. */
  readonly attempt: number
}

export interface LeaseEndedMessage extends LeaseMessage {
  readonly how: 'complete' | 'fail' | 'release'
}

export interface LeaseLostMessage extends LeaseMessage {
  readonly error: unknown
}

export interface RequestRetryMessage {
  /** 1 for the first retry. */
  readonly retry: number
  readonly waitMs: number
  readonly error: Error
}

interface Messages {
  readonly 'session:opened': SessionOpenedMessage
  readonly 'session:lost': SessionLostMessage
  readonly 'lease:granted': LeaseMessage
  readonly 'lease:ended': LeaseEndedMessage
  readonly 'lease:lost': LeaseLostMessage
  readonly 'request:retry': RequestRetryMessage
}

type ChannelName = keyof Messages

const channels = {
  'session:opened': channel('layerlock:client:session:opened'),
  'session:lost': channel('layerlock:client:session:lost'),
  'lease:granted': channel('layerlock:client:lease:granted'),
  'lease:ended': channel('layerlock:client:lease:ended'),
  'lease:lost': channel('layerlock:client:lease:lost'),
  'request:retry': channel('layerlock:client:request:retry'),
} as const

/** Whether anybody would see a message. */
export function isObserved(name: ChannelName): boolean {
  return channels[name].hasSubscribers
}

/** Tells those who listen, if any. */
export function publish<Name extends ChannelName>(name: Name, message: Messages[Name]): void {
  if (channels[name].hasSubscribers) channels[name].publish(message)
}
