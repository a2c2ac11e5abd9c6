import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ERROR_CODES, type ErrorBody, type ErrorCode, KEY_MAX_BYTES, ProtocolError } from '@layerlock/protocol'
import { type ConnectionError, type FastifyError, type FastifyReply, type FastifyRequest } from 'fastify'
import type { ApiApp } from './api-app.ts'
import { describeValidation } from './describe-validation.ts'

/** How long a client should stay away when the server is overloaded, in seconds. */
const RETRY_AFTER_S = 1

/** What nobody has foreseen may tell of the server's inside. */
export const UNEXPECTED = 'the lock server failed unexpectedly; its log says why'

/** What Node's HTTP parser finds, by its codes. */
const CLIENT_ERRORS: ReadonlyMap<string, readonly [ErrorCode, string]> = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', ['invalid_request', 'took too long to arrive']],
  ['HPE_HEADER_OVERFLOW', ['too_large', 'its headers are too large']],
])

/** Gives every refusal the one form that clients know, whoever refuses: the rules, the validation, or the framework. */
export function registerErrorAnswers(app: ApiApp): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof ProtocolError) {
      if (error.code === 'overloaded') request.log.error({ err: error.cause ?? error }, error.message)
      return sendError(reply, error.code, error.message)
    }
    if (error.validation !== undefined)
      return sendError(reply, 'invalid_request', describeValidation(error.validation, error.validationContext))
    if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      return sendError(reply, 'invalid_request', describeMediaType(request.headers['content-type']))
    }
    if (error.statusCode === 413) return sendError(reply, 'too_large', `body: ${error.message}`)
    if (error.statusCode !== undefined && error.statusCode < 500) {
      return sendError(reply, 'invalid_request', `body: ${error.message}`)
    }
    request.log.error({ err: error }, 'a call failed unexpectedly')
    return sendError(reply, 'overloaded', UNEXPECTED)
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

/**
 * The same for what is no HTTP at all, or does not arrive in time: there is not even a request yet.
 *
 * @param answered whether an answer to what comes has been given, or begun
 */
export function answerClientError({ code }: ConnectionError, socket: Socket, answered: boolean): void {
  // Who has gone, has sent nothing on a new connection, or has its answer would not know what to make of this one.
  if (answered || code === 'ECONNRESET' || socket.destroyed || socket.bytesRead === 0 || !socket.writable) {
    socket.destroy()
    return
  }
  const [refusal, message] = CLIENT_ERRORS.get(code) ?? ['invalid_request', 'is not HTTP that can be read']
  const body: ErrorBody = { error: { code: refusal, message: `request: ${message}` } }
  const text = JSON.stringify(body)
  const { status } = ERROR_CODES[refusal]
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
}

function sendError(reply: FastifyReply, code: ErrorCode, message: string): FastifyReply {
  if (code === 'overloaded') reply.header('retry-after', RETRY_AFTER_S)
  if (code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  return reply.code(ERROR_CODES[code].status).send(errorBody(code, message))
}

/** The form of every refusal. */
export function errorBody(code: ErrorCode, message: string): ErrorBody {
  return { error: { code, message } }
}

function describeMediaType(given: string | undefined): string {
  const shown = given === undefined ? 'is missing' : `${JSON.stringify(given.slice(0, 100))} is not allowed`
  return `Content-Type: ${shown}; a body must be application/json`
}
