import {
  basicAuthorization,
  createCertificate,
  createImage,
  createLayer,
  type DockerRegistryAuth,
  type FaultHook,
  httpGet,
  type Image,
  type Layer,
  parseBasicAuthorization,
  type RecordedServer,
  type RegistryUser,
  startCountingProxy,
  startDockerRegistry,
  startTokenServer,
  temporaryFolder,
  type TokenServer,
} from '@layerlock/test-support'

const MIB = 1024 * 1024

/** How users prove who they are. */
export type AuthKind = 'tokens' | 'passwords'

/** Who there is. `proxy` may read everything. */
export type UserName = 'alice' | 'bob' | 'proxy'

/**
 * A docker-registry with the images `private/a:1`, which alice may read, and `private/b:1`, which bob may. Both have one
 * layer in common, and one that is theirs alone.
 */
export interface PrivateRegistry extends AsyncDisposable {
  /** In front of the registry: counts what goes there. */
  readonly upstream: RecordedServer
  /** Undefined with passwords. */
  readonly tokens: TokenServer | undefined
  readonly a: Image
  readonly b: Image
  readonly shared: Layer
  /** Of `private/a` only. */
  readonly secret: Layer
  /** All `Authorization` headers that came to the registry. */
  readonly authorizations: readonly string[]
  passwordOf(user: UserName): string
  /** The `Authorization` header with which a user asks for a repository; for a token, the token server is asked. */
  authorizationOf(user: UserName, repository: string): Promise<string>
  /** From now on nothing that a user has lets them in. */
  revoke(user: UserName): Promise<void>
}

const REPOSITORIES: ReadonlyMap<string, readonly string[]> = new Map([
  ['alice', ['private/a']],
  ['bob', ['private/b']],
  ['proxy', ['private/a', 'private/b']],
])

/** Starts one; nothing of it is left when it is disposed. */
export async function startPrivateRegistry(kind: AuthKind): Promise<PrivateRegistry> {
  await using parts = new AsyncDisposableStack()
  const { path: folder } = parts.use(await temporaryFolder('private'))
  const users = new Map<string, RegistryUser>(
    [...REPOSITORIES].map(([name, pulls]) => [name, { password: `secret-of-${name}`, pulls }]),
  )
  const passwordOf = (user: string): string => users.get(user)?.password ?? ''
  const tokens =
    kind === 'tokens'
      ? parts.use(await startTokenServer({ certificate: await createCertificate(folder), users }))
      : undefined
  const auth: DockerRegistryAuth = tokens === undefined ? { kind: 'basic', users } : { kind: 'token', server: tokens }
  const registry = parts.use(await startDockerRegistry({ auth }))

  const shared = await createLayer({ folder, sizeBytes: 1 * MIB, seed: 'shared' })
  const secret = await createLayer({ folder, sizeBytes: 16 * MIB, seed: 'secret' })
  const other = await createLayer({ folder, sizeBytes: 1 * MIB, seed: 'other' })
  const a = await createImage({ folder: `${folder}/a`, layers: [shared, secret] })
  const b = await createImage({ folder: `${folder}/b`, layers: [shared, other] })
  await registry.pushImage(a, { repository: 'private/a', tag: '1' })
  await registry.pushImage(b, { repository: 'private/b', tag: '1' })

  const authorizations: string[] = []
  const revoked = new Set<string>()
  const fault: FaultHook = ({ authorization, repository }) => {
    if (authorization === undefined) return undefined
    authorizations.push(authorization)
    if (revoked.has(authorization)) return { kind: 'status', status: 401 }
    // With passwords docker-registry knows no rights by repository; those that do it so have a server before it.
    const pulls = REPOSITORIES.get(parseBasicAuthorization(authorization)?.user ?? '')
    const isDenied = pulls !== undefined && repository !== undefined && !pulls.includes(repository)
    return isDenied ? { kind: 'status', status: 403 } : undefined
  }
  const upstream = parts.use(await startCountingProxy({ target: registry.url, fault }))

  async function authorizationOf(user: UserName, repository: string): Promise<string> {
    const basic = basicAuthorization(user, passwordOf(user))
    if (tokens === undefined) return basic
    const url = `${tokens.realm}?service=${tokens.service}&scope=repository:${repository}:pull`
    const { body } = await httpGet(url, { headers: { authorization: basic }, keepBody: true })
    const { token } = JSON.parse(body!.toString()) as { token: string }
    return `Bearer ${token}`
  }

  const running = parts.move()
  return {
    upstream,
    tokens,
    a,
    b,
    shared,
    secret,
    authorizations,
    passwordOf,
    authorizationOf,
    async revoke(user) {
      users.delete(user)
      await registry.rereadUsers()
      // A token is good until it expires: where that is not awaited, the registry has to refuse it.
      for (const authorization of authorizations) if (isTokenOf(authorization, user)) revoked.add(authorization)
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function isTokenOf(authorization: string, user: UserName): boolean {
  return userOf(authorization) === user && authorization.startsWith('Bearer ')
}

/** Whose an `Authorization` header is: the user of a password, or the subject of a token. */
export function userOf(authorization: string): string | undefined {
  const claims = /^Bearer [^.]+\.([^.]+)\./.exec(authorization)?.[1]
  if (claims === undefined) return parseBasicAuthorization(authorization)?.user
  return (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sub: string }).sub
}
