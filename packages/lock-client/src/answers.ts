import { ErrorBody, isErrorCode, type Route, ROUTES } from '@layerlock/protocol'
import { Compile } from 'typebox/schema'
import { LeaseLostError, LockError, LockServerUnavailableError, SessionExpiredError } from './errors.ts'
import type { AnswerOf, RouteName } from './lock-api.ts'
import type { TransportResponse } from './transport.ts'

interface Validator {
  Check(value: unknown): boolean
}

/** Compiled at the first use: most programs need few of them. */
const validators = new Map<RouteName, Validator>()

/**
 * Checks an answer.
 *
 * @throws {LockServerUnavailableError} when it is not what the route promises: who answers is no lock server
 */
export function checkAnswer<Name extends RouteName>(
  name: Name,
  value: unknown,
  key: string | undefined,
): AnswerOf<Name> {
  const { answer }: Route = ROUTES[name]
  if (answer === undefined) return undefined as AnswerOf<Name>
  let validator = validators.get(name)
  if (validator === undefined) {
    validator = Compile(answer)
    validators.set(name, validator)
  }
  if (validator.Check(value)) return value as AnswerOf<Name>
  throw new LockServerUnavailableError(`the answer to ${name} is not one of a lock server`, { key })
}

/** What an answer with a status of 400 or more says, as the error to throw. */
export function refusal(response: TransportResponse, key: string | undefined): LockError {
  const value = parseJson(response.text)
  const retryAfterMs = retryAfter(response.retryAfter)
  const known = errorBody.Check(value) ? errorOf(value, key, retryAfterMs) : undefined
  if (known !== undefined) return known
  const message = `the lock server answered ${response.status} without a known error`
  return new LockServerUnavailableError(message, { key, retryAfterMs })
}

const errorBody = Compile(ErrorBody)

/**
 * Whether an answer in a batch is a refusal. One with a `status` never is: a key whose work has failed is told with the
 * `error` of that work, whose code can be any, that of a refusal too.
 */
export function isRefusal(value: unknown): value is ErrorBody {
  return errorBody.Check(value) && !('status' in value)
}

/** The error that a refusal stands for; undefined when its code is not known. */
export function errorOf(
  { error: { code, message } }: ErrorBody,
  key: string | undefined,
  retryAfterMs?: number,
): LockError | undefined {
  if (!isErrorCode(code)) return undefined
  const options = { key, retryAfterMs }
  if (code === 'lease_lost') return new LeaseLostError(message, options)
  if (code === 'session_expired') return new SessionExpiredError(message, options)
  return new LockError(code, message, options)
}

function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined
}

/** Undefined for what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
