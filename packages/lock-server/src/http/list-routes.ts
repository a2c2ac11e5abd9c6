import { PAGE_MAX_RECORDS, ROUTES } from '@layerlock/protocol'
import type { LockService } from '../service/lock-service.ts'
import type { ApiApp } from './api-app.ts'

const DEFAULT_LIMIT = 100

/** `GET /v1/locks`: all records, a page at a time. */
export function registerListRoutes(app: ApiApp, service: LockService): void {
  app.get(ROUTES.locks.path, { schema: { querystring: ROUTES.locks.query } }, async (request) => {
    const { prefix = '', state, limit, cursor } = request.query
    const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString()
    const count = Math.min(limit === undefined ? DEFAULT_LIMIT : Number(limit), PAGE_MAX_RECORDS)
    const { locks, last } = await service.list({ prefix, state, after, limit: count })
    return { locks, ...(last === undefined ? {} : { cursor: Buffer.from(last).toString('base64url') }) }
  })
}
