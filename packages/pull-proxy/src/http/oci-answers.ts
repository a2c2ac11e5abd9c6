import type { ServerResponse } from 'node:http'
import type { FastifyBaseLogger } from 'fastify'
import { OciError } from '../oci/oci-error.ts'
import { describe } from '../upstream/http-exchange.ts'

/** Answers with an error in the distribution-spec's envelope. What is not an expected error is logged. */
export function sendOciError(response: ServerResponse, error: unknown, logger: FastifyBaseLogger): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const known = error instanceof OciError ? error : new OciError('UNKNOWN', describe(error))
  if (known !== error) logger.error({ err: error }, 'a request failed unexpectedly')
  const body = Buffer.from(JSON.stringify(known))
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': body.length,
  }
  if (known.retryAfterMs !== undefined) headers['retry-after'] = Math.ceil(known.retryAfterMs / 1_000)
  if (known.challenge !== undefined) headers['www-authenticate'] = known.challenge
  response.writeHead(known.status, headers)
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
