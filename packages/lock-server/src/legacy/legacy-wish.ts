import { ProtocolError } from '@layerlock/protocol'

/** The operations that the earlier wire form knows. On one resource they exclude each other. */
export const LEGACY_TYPES = ['pull', 'update', 'delete'] as const
export type LegacyType = (typeof LEGACY_TYPES)[number]

/** With the prefix of its keys before it, a resource's id must fit into a key. */
const RESOURCE_MAX_BYTES = 500
const NODE_MAX_BYTES = 253

/** What every call says: which operation, on what. */
export interface LegacyTopic {
  readonly type: LegacyType
  readonly resource: string
}

/** The same, and who asks. */
export interface LegacyWish extends LegacyTopic {
  readonly node: string
}

/** How a node's work has ended. */
export interface LegacyResult {
  readonly success: boolean
  readonly error: string | undefined
}

/** Fields as they came. Those that are not known are passed over: old nodes may send more. */
type Fields = Readonly<Record<string, unknown>>

/** Reads `type` and `resource_id`. @throws {ProtocolError} `invalid_request`, naming the field, its value and what is allowed */
export function parseTopic(from: unknown): LegacyTopic {
  const fields = parseFields(from)
  const type = LEGACY_TYPES.find((known) => known === fields['type'])
  if (type === undefined) throw notAllowed(fields, 'type', 'pull, update or delete')
  return { type, resource: parseId(fields, 'resource_id', RESOURCE_MAX_BYTES) }
}

/** Reads `type`, `resource_id` and `node_id`. @throws {ProtocolError} `invalid_request` */
export function parseWish(from: unknown): LegacyWish {
  return { ...parseTopic(from), node: parseId(parseFields(from), 'node_id', NODE_MAX_BYTES) }
}

/**
 * Reads `success` and `error`: without `success`, it is one when there is no error. Null is as good as absent, and an
 * empty error is none. @throws {ProtocolError} `invalid_request`
 */
export function parseResult(from: unknown): LegacyResult {
  const fields = parseFields(from)
  const error = fields['error'] ?? ''
  if (typeof error !== 'string') throw notAllowed(fields, 'error', 'a string')
  const success = fields['success'] ?? error === ''
  if (typeof success !== 'boolean') throw notAllowed(fields, 'success', 'true or false')
  return { success, error: error === '' ? undefined : error }
}

function parseFields(from: unknown): Fields {
  if (typeof from === 'object' && from !== null && !Array.isArray(from)) return from as Fields
  throw notAllowed({ body: from }, 'body', 'a JSON object')
}

function parseId(fields: Fields, name: string, maxBytes: number): string {
  const id = fields[name]
  const isText = typeof id === 'string' && id !== '' && id.isWellFormed() && !/\p{Cc}/u.test(id)
  if (isText && Buffer.byteLength(id) <= maxBytes) return id
  throw notAllowed(fields, name, `a string of 1 to ${maxBytes} bytes without control characters`)
}

function notAllowed(fields: Fields, name: string, allowed: string): ProtocolError {
  const value = fields[name]
  const shown = value === undefined ? 'is missing' : `${JSON.stringify(value).slice(0, 100)} is not allowed`
  return new ProtocolError('invalid_request', `${name}: ${shown}; expected ${allowed}`)
}
