import type { Digest } from '../oci/digest.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { LockCoordinator } from './lock-coordinator.ts'

export interface TestCoordinatorOptions {
  readonly digests?: Digest[] | undefined
  readonly onSession?: ((id: string) => void) | undefined
  readonly resume?: string | undefined
  readonly lockTimeoutMs?: number | undefined
}

/** The coordinator of a node, connected, with its peer API at `http://<node>:1`. */
export async function connectCoordinator(
  url: string,
  node: string,
  { digests = [], onSession = () => undefined, resume, lockTimeoutMs = 1_000 }: TestCoordinatorOptions = {},
): Promise<LockCoordinator> {
  const coordinator = new LockCoordinator({
    url,
    node,
    endpoint: `http://${node}:1`,
    token: undefined,
    sessionTtlMs: 2_000,
    lockTimeoutMs,
    resume,
    onSession,
    digests: () => digests,
    logger: createTestLogger(),
  })
  await coordinator.connect()
  return coordinator
}
