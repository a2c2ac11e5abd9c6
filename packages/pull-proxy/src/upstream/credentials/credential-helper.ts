import { execFile } from 'node:child_process'
import { OciError } from '../../oci/oci-error.ts'
import { unlessAborted } from '../../unless-aborted.ts'
import type { Credentials } from './credential-source.ts'

/** How long a helper may take, in milliseconds. Some of them ask a cloud. */
const DEFAULT_HELPER_TIMEOUT_MS = 15_000
/** How long an answer is remembered, in milliseconds: not each request should start a program. */
const DEFAULT_REMEMBER_MS = 30_000
const MAX_OUTPUT_BYTES = 256 * 1024
/** What all helpers say, on stdout, when they have nothing (docker-credential-helpers, credentials/error.go). */
const NOT_FOUND = 'credentials not found in native keychain'
/** The user name that makes the secret an identity token. */
const TOKEN_USER = '<token>'

/** Where and how patiently helpers run. */
export interface HelperOptions {
  /** What they find in their environment; its `PATH` says where they are. Default: this process's own. */
  readonly env?: NodeJS.ProcessEnv | undefined
  /** In milliseconds. Default 15,000. */
  readonly helperTimeoutMs?: number | undefined
  /** How long an answer is remembered, in milliseconds. Default 30,000. */
  readonly rememberMs?: number | undefined
}

interface Answer {
  readonly credentials: Promise<Credentials | undefined>
  /** Undefined while the helper runs. */
  forgetAtMs: number | undefined
}

/** Whether a name can be that of a helper: it becomes part of a program's name. */
export function isHelperName(name: string): boolean {
  return /^[\w.-]{1,100}$/.test(name)
}

/** Runs credential helpers as Docker does: `docker-credential-<name> get`, with the server on stdin. */
export class CredentialHelpers {
  readonly #options: HelperOptions
  /** By name and server. Only what a configuration names gets in here. */
  readonly #answers = new Map<string, Answer>()

  constructor(options: HelperOptions = {}) {
    this.#options = options
  }

  /**
   * What a helper has for a server. Callers that come at the same time share one run, which ends with its own time limit
   * and not with the signal of one of them.
   *
   * @throws {OciError} `UNKNOWN` when it fails; says nothing of what it wrote
   */
  async get(
    name: string,
    server: string,
    { fresh = false, signal }: { readonly fresh?: boolean | undefined; readonly signal: AbortSignal },
  ): Promise<Credentials | undefined> {
    signal.throwIfAborted()
    const key = `${name} ${server}`
    let answer = this.#answers.get(key)
    const isRunning = answer !== undefined && answer.forgetAtMs === undefined
    if (!isRunning && (fresh || performance.now() >= (answer?.forgetAtMs ?? 0))) {
      answer = { credentials: this.#run(name, server), forgetAtMs: undefined }
      this.#answers.set(key, answer)
      void this.#rememberFor(key, answer)
    }
    return await unlessAborted(answer!.credentials, signal)
  }

  async #rememberFor(key: string, answer: Answer): Promise<void> {
    try {
      await answer.credentials
      answer.forgetAtMs = performance.now() + (this.#options.rememberMs ?? DEFAULT_REMEMBER_MS)
    } catch {
      // Whoever waits for it is told; the next one tries again.
      this.#answers.delete(key)
    }
  }

  async #run(name: string, server: string): Promise<Credentials | undefined> {
    const program = `docker-credential-${name}`
    if (!isHelperName(name)) throw new OciError('UNKNOWN', `${JSON.stringify(program)} is no name of a program`)
    const { failure, stdout } = await this.#execute(program, server)
    if (failure === undefined) return readAnswer(stdout, program, server)
    if (stdout.trim() === NOT_FOUND) return undefined
    throw new OciError('UNKNOWN', `${program} ${failure}, asked for ${server}`)
  }

  /** What went wrong, if anything did, in words without the program's output: that may hold secrets. */
  #execute(program: string, server: string): Promise<{ failure: string | undefined; stdout: string }> {
    const { env = process.env, helperTimeoutMs: timeout = DEFAULT_HELPER_TIMEOUT_MS } = this.#options
    const { promise, resolve } = Promise.withResolvers<{ failure: string | undefined; stdout: string }>()
    const options = { env, timeout, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' } as const
    const child = execFile(program, ['get'], options, (error, stdout) => {
      resolve({ failure: error === null ? undefined : reasonOf(error, timeout), stdout })
    })
    // A helper that ends without reading what it is asked is judged by its answer.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(server)
    return promise
  }
}

function reasonOf({ code, killed, signal }: ExecFailure, timeoutMs: number): string {
  if (code === 'ENOENT') return 'is not found in PATH'
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `writes more than ${MAX_OUTPUT_BYTES} bytes`
  if (killed === true) return `gives no answer within ${timeoutMs} ms`
  if (typeof code === 'number') return `exits with status ${code}`
  return `cannot be run: ${code ?? signal ?? 'it failed'}`
}

interface ExecFailure {
  readonly code?: string | number | null | undefined
  readonly killed?: boolean | undefined
  readonly signal?: string | null | undefined
}

function readAnswer(stdout: string, program: string, server: string): Credentials {
  try {
    const { Username: username, Secret: secret } = JSON.parse(stdout) as Record<string, unknown>
    if (typeof username === 'string' && typeof secret === 'string' && secret !== '') {
      if (username === TOKEN_USER) return { kind: 'identityToken', token: secret }
      return { kind: 'basic', username, password: secret }
    }
  } catch {
    // Falls through. The parser's own message would show a part of the text.
  }
  throw new OciError('UNKNOWN', `${program} answers with something that is no credentials, asked for ${server}`)
}
