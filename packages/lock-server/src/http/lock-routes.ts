import { type Acquire, MAX_WAIT_MS, parseKey, ROUTES } from '@layerlock/protocol'
import { Type } from 'typebox'
import type { AcquireCommand } from '../core/acquire.ts'
import type { SessionRef } from '../core/record.ts'
import type { LockService } from '../service/lock-service.ts'
import { type ApiApp, fastifyPath, sessionIdOf } from './api-app.ts'
import { disconnectSignal } from './disconnect.ts'

const OK = { ok: true } as const
const KeyParams = Type.Object({ key: Type.String() })
/** A query string's values are text; they are read as numbers by {@link parseCount}. */
const ShowQuery = Type.Object({ waitMs: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })) })
const ForgetQuery = Type.Object({ ifToken: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,15}$' })) })

/** Keys: acquire and what ends a hold, progress, copies, and the record. */
export function registerLockRoutes(app: ApiApp, service: LockService): void {
  const params = KeyParams

  app.post(
    fastifyPath(ROUTES.acquire.path),
    { schema: { params, body: ROUTES.acquire.body } },
    async (request, reply) => {
      const { ref } = service.sessions.get(sessionIdOf(request))
      const wait = { waitMs: request.body.waitMs ?? 0, signal: disconnectSignal(reply) }
      return service.acquire(parseKey(request.params.key), acquireCommand(ref, request.body), wait)
    },
  )

  app.post(fastifyPath(ROUTES.complete.path), { schema: { params, body: ROUTES.complete.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    const { copy = false, clear = false, ...rest } = request.body
    await service.execute(parseKey(request.params.key), { op: 'complete', session, copy, clear, ...rest })
    return OK
  })

  app.post(fastifyPath(ROUTES.fail.path), { schema: { params, body: ROUTES.fail.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    const { permanent = false, ...rest } = request.body
    await service.execute(parseKey(request.params.key), { op: 'fail', session, permanent, ...rest })
    return OK
  })

  app.post(fastifyPath(ROUTES.release.path), { schema: { params, body: ROUTES.release.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), { op: 'release', session, ...request.body })
    return OK
  })

  app.post(fastifyPath(ROUTES.cancel.path), { schema: { params, body: ROUTES.cancel.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), { op: 'cancel', session, ...request.body })
    return OK
  })

  app.post(fastifyPath(ROUTES.progress.path), { schema: { params, body: ROUTES.progress.body } }, async (request) => {
    const { ref } = service.sessions.get(sessionIdOf(request))
    await service.reportProgress(parseKey(request.params.key), ref, request.body)
    return OK
  })

  app.post(ROUTES.copies.path, { schema: { body: ROUTES.copies.body } }, async (request) => {
    const { ref } = service.sessions.get(sessionIdOf(request))
    const { add = [], remove = [] } = request.body
    return service.updateCopies(ref, add.map(parseKey), remove.map(parseKey))
  })

  app.get(fastifyPath(ROUTES.lock.path), { schema: { params, querystring: ShowQuery } }, async (request, reply) => {
    const waitMs = Math.min(parseCount(request.query.waitMs) ?? 0, MAX_WAIT_MS)
    return service.show(parseKey(request.params.key), { waitMs, signal: disconnectSignal(reply) })
  })

  app.delete(fastifyPath(ROUTES.forget.path), { schema: { params, querystring: ForgetQuery } }, async (request) =>
    service.execute(parseKey(request.params.key), { op: 'forget', ifToken: parseCount(request.query.ifToken) }),
  )
}

function parseCount(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}

function acquireCommand(session: SessionRef, body: Acquire): AcquireCommand {
  const { enqueue = true, ignoreOutcome = false, unlessReferenced = false, limit = 1 } = body
  const { ticket, group, maxHoldMs } = body
  return { op: 'acquire', session, ticket, group, enqueue, ignoreOutcome, unlessReferenced, limit, maxHoldMs }
}
