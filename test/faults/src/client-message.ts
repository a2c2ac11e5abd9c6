/** What the conductor tells a client process. */
export interface StartRound {
  readonly round: number
  readonly seed: number
  /** For how long new calls are begun, in milliseconds. */
  readonly workMs: number
}

/** What a client process answers: that it is ready for rounds, or that all its calls of a round have ended. */
export type ClientMessage = { readonly type: 'ready' } | { readonly type: 'done'; readonly round: number }

/** How a client process is started; travels as JSON in its arguments. */
export interface ClientProcessOptions {
  readonly name: string
  readonly url: string
  readonly historyPath: string
  /** One client for each, with this TTL in milliseconds. */
  readonly sessionTtlsMs: readonly number[]
}
