import { createReadStream } from 'node:fs'
import type { OutgoingHttpHeaders } from 'node:http'

import type { ByteRange } from './byte-range.ts'
import { maxSliceBytes } from './rate-limit.ts'

/** What a handler answers; how it is sent, and what goes wrong on the way, is not its business. */
export interface Answer {
  readonly status: number
  /** With `Content-Length` where it is known. */
  readonly headers: OutgoingHttpHeaders
  /** Not asked for on `HEAD`. A `body` that is never iterated must hold nothing. */
  readonly body?: AsyncIterable<Uint8Array> | undefined
}

/** A short text, e.g. JSON. */
export function textAnswer(status: number, text: string, headers: OutgoingHttpHeaders = {}): Answer {
  const bytes = Buffer.from(text)
  return {
    status,
    headers: { 'Content-Type': 'application/json', ...headers, 'Content-Length': bytes.length },
    body: once(bytes),
  }
}

/** An error in the envelope of the OCI distribution-spec. */
export function errorAnswer(status: number, code: string, headers: OutgoingHttpHeaders = {}): Answer {
  const error = { code, message: code.toLowerCase().replaceAll('_', ' '), detail: null }
  return textAnswer(status, JSON.stringify({ errors: [error] }), headers)
}

/** A part of a file, read as it is sent. */
export function fileBody(path: string, { first, last }: ByteRange): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () =>
      createReadStream(path, { start: first, end: last, highWaterMark: maxSliceBytes })[Symbol.asyncIterator](),
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
