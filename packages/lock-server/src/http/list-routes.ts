import { parseKey, ProtocolError, ROUTES } from '@layerlock/protocol'
import type { LockService } from '../service/lock-service.ts'
import type { ApiApp } from './api-app.ts'

const DEFAULT_LIMIT = 100

/** `GET /v1/locks`: all records, a page at a time. */
export function registerListRoutes(app: ApiApp, service: LockService): void {
  app.get(ROUTES.locks.path, { schema: { querystring: ROUTES.locks.query } }, async (request) => {
    const { prefix = '', state, limit, cursor } = request.query
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const count = limit === undefined ? DEFAULT_LIMIT : Number(limit)
    const { locks, last } = await service.list({ prefix, state, after, limit: count })
    return { locks, ...(last === undefined ? {} : { cursor: cursorOf(last) }) }
  })
}

/** A cursor is the last key of a page, in a form that nobody takes for one. */
function cursorOf(key: string): string {
  return Buffer.from(key).toString('base64url')
}

function parseCursor(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString()
  if (cursorOf(key) !== cursor || !isKey(key)) {
    const shown = JSON.stringify(cursor.slice(0, 100))
    throw new ProtocolError('invalid_request', `cursor: ${shown} must be the cursor of the page before, as it came`)
  }
  return key
}

function isKey(text: string): boolean {
  try {
    parseKey(text)
    return true
  } catch {
    return false
  }
}
