import {
  type Accepted,
  type AcquireAnswer,
  BATCH_MAX_OPS,
  BATCH_OPS,
  type BatchOp,
  type ErrorBody,
  parseKey,
  ProtocolError,
  ROUTES,
} from '@layerlock/protocol'
import type { FastifyError, FastifyRequest } from 'fastify'
import type { SessionRef } from '../core/record.ts'
import type { LockService } from '../service/lock-service.ts'
import { type ApiApp, sessionIdOf } from './api-app.ts'
import { acquireCommand, completeCommand, failCommand } from './commands.ts'
import { describeValidation } from './describe-validation.ts'
import { errorBody, UNEXPECTED } from './error-answers.ts'

const OK: Accepted = { ok: true }
const AT_ONCE = { waitMs: 0 } as const

/** `POST /v1/batch`: many operations of a session in one call. */
export function registerBatchRoutes(app: ApiApp, service: LockService): void {
  // The operations are checked one by one, so that a wrong one costs itself an answer and not all the others.
  app.post(ROUTES.batch.path, async (request) => {
    const { ref } = service.sessions.get(sessionIdOf(request))
    const ops = parseOps(request.body)
    return { answers: await Promise.all(ops.map((op) => answerTo(service, ref, request, op))) }
  })
}

function parseOps(body: unknown): readonly unknown[] {
  if (typeof body !== 'object' || body === null) throw new ProtocolError('invalid_request', 'body: must be an object')
  const unknown = Object.keys(body).find((name) => name !== 'ops')
  if (unknown !== undefined) throw new ProtocolError('invalid_request', `${unknown}: is not a known field`)
  if (!('ops' in body) || !Array.isArray(body.ops)) {
    throw new ProtocolError('invalid_request', 'ops: must be an array of operations')
  }
  if (body.ops.length > BATCH_MAX_OPS) {
    const message = `ops: has ${body.ops.length} operations, at most ${BATCH_MAX_OPS} are allowed`
    throw new ProtocolError('invalid_request', message)
  }
  return body.ops
}

async function answerTo(
  service: LockService,
  ref: SessionRef,
  request: FastifyRequest,
  op: unknown,
): Promise<AcquireAnswer | Accepted | ErrorBody> {
  try {
    return await carryOut(service, ref, parseOp(request, op))
  } catch (error) {
    if (error instanceof ProtocolError) return errorBody(error.code, error.message)
    request.log.error({ err: error }, 'an operation of a batch failed unexpectedly')
    return errorBody('overloaded', UNEXPECTED)
  }
}

function parseOp(request: FastifyRequest, op: unknown): BatchOp {
  const name = typeof op === 'object' && op !== null && 'op' in op ? op.op : undefined
  if (typeof name !== 'string' || !Object.hasOwn(BATCH_OPS, name)) {
    const allowed = Object.keys(BATCH_OPS).join(', ')
    throw new ProtocolError('invalid_request', `op: ${JSON.stringify(name)} is not one of ${allowed}`)
  }
  const validate = request.compileValidationSchema(BATCH_OPS[name as keyof typeof BATCH_OPS])
  if (validate(op)) return op as BatchOp
  throw new ProtocolError(
    'invalid_request',
    describeValidation(validate.errors as FastifyError['validation'] | null, 'op'),
  )
}

async function carryOut(service: LockService, session: SessionRef, op: BatchOp): Promise<AcquireAnswer | Accepted> {
  const key = parseKey(op.key)
  switch (op.op) {
    case 'acquire':
      return service.acquire(key, acquireCommand(session, op), AT_ONCE)
    case 'complete':
      await service.execute(key, completeCommand(session, op))
      return OK
    case 'fail':
      await service.execute(key, failCommand(session, op))
      return OK
    case 'release':
      await service.execute(key, { op: 'release', session, fencingToken: op.fencingToken })
      return OK
    case 'cancel':
      await service.execute(key, { op: 'cancel', session, ticket: op.ticket })
      return OK
    case 'progress':
      await service.reportProgress(key, session, op)
      return OK
  }
}
