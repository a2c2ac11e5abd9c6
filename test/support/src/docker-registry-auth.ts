import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { hash } from '@node-rs/bcrypt'

import { basicAuthorization, type RegistryUsers } from './registry-users.ts'
import type { TokenServer } from './token-server.ts'

/** Whom a `docker-registry` lets in: those with a password (all of them everywhere), or those with a token. */
export type DockerRegistryAuth =
  | { readonly kind: 'basic'; readonly users: RegistryUsers }
  | { readonly kind: 'token'; readonly server: TokenServer }

/** bcrypt's least cost: these passwords are no secrets. */
const bcryptCost = 4
/** Pushes what a test wants to be there. */
const pusher = { user: 'pusher', password: 'pusher' }

/** Writes what the registry reads, and returns its part of the configuration. */
export async function configOfAuth(folder: string, auth: DockerRegistryAuth): Promise<string> {
  if (auth.kind === 'basic') {
    const path = htpasswdPath(folder)
    await writeHtpasswd(folder, auth.users)
    return `auth:\n  htpasswd:\n    realm: registry.test\n    path: ${path}\n`
  }
  const { realm, service, issuer, certificate } = auth.server
  return `
auth:
  token:
    realm: ${realm}
    service: ${service}
    issuer: ${issuer}
    rootcertbundle: ${certificate.certificatePath}
`
}

/** Replaces the users of basic authentication; a running registry reads the file again when it has changed. */
export async function writeHtpasswd(folder: string, users: RegistryUsers): Promise<void> {
  const all = [...users].map(([user, { password }]) => ({ user, password })).concat(pusher)
  const lines = await Promise.all(
    all.map(async ({ user, password }) => `${user}:${await hash(password, { cost: bcryptCost })}`),
  )
  await writeFile(htpasswdPath(folder), lines.join('\n'))
}

/** The header with which a test pushes to a repository. */
export function pushAuthorization(auth: DockerRegistryAuth, repository: string): string {
  if (auth.kind === 'basic') return basicAuthorization(pusher.user, pusher.password)
  const access = [{ type: 'repository' as const, name: repository, actions: ['pull', 'push'] }]
  return `Bearer ${auth.server.sign({ user: pusher.user, access })}`
}

function htpasswdPath(folder: string): string {
  return join(folder, 'htpasswd')
}
