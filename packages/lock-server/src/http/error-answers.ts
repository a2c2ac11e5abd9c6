import {
  ERROR_CODES,
  type ErrorBody,
  type ErrorCode,
  isErrorCode,
  KEY_MAX_BYTES,
  ProtocolError,
} from '@layerlock/protocol'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** How long a client should stay away when the server is overloaded, in seconds. */
const RETRY_AFTER_S = 1

/** Gives every refusal the one form that clients know, whoever refuses: the rules, the validation, or the framework. */
export function registerErrorAnswers(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof ProtocolError) {
      if (error.code === 'overloaded') request.log.error({ err: error.cause ?? error }, error.message)
      return sendError(reply, error.code, error.message)
    }
    if (error.validation !== undefined) return sendError(reply, 'invalid_request', describeValidation(error))
    if (error.statusCode === 413) return sendError(reply, 'too_large', `body: ${error.message}`)
    if (error.statusCode !== undefined && error.statusCode < 500) {
      return sendError(reply, 'invalid_request', `body: ${error.message}`)
    }
    request.log.error({ err: error }, 'a call failed unexpectedly')
    return sendError(reply, 'overloaded', 'the lock server failed unexpectedly; its log says why')
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.raw.url?.split('?')[0] ?? ''
    return sendError(reply, 'not_found', `there is no ${request.method} ${path}; see /openapi.json for what there is`)
  })
}

/** The same for what the framework refuses by the URL alone, before it has found a route. */
export function answerFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  if (error.code === 'FST_ERR_MAX_PARAM_LENGTH') {
    sendError(reply, 'too_large', `key: is longer than the ${KEY_MAX_BYTES} bytes that are allowed`)
  } else {
    sendError(reply, 'invalid_request', `url: ${error.message}`)
  }
}

function sendError(reply: FastifyReply, code: ErrorCode, message: string): FastifyReply {
  const body: ErrorBody = { error: { code: isErrorCode(code) ? code : 'overloaded', message } }
  if (code === 'overloaded') reply.header('retry-after', RETRY_AFTER_S)
  return reply.code(ERROR_CODES[code].status).send(body)
}

/** Names the field, its value, and what is allowed. */
function describeValidation(error: FastifyError): string {
  const issues = (error.validation ?? []).map((issue) => {
    const path = issue.instancePath.slice(1).replaceAll('/', '.')
    const extra = issue.params['additionalProperty']
    if (typeof extra === 'string') return `${[path, extra].filter(Boolean).join('.')}: is not a known field`
    const data: unknown = 'data' in issue ? issue.data : undefined
    const shown = data === undefined || typeof data === 'object' ? '' : `${JSON.stringify(data).slice(0, 100)} `
    return `${path || error.validationContext || 'body'}: ${shown}${issue.message ?? 'is not allowed'}`
  })
  return issues.join('; ')
}
