import type { ContentId } from '../oci/content-id.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { LockCoordinator } from './lock-coordinator.ts'

export interface TestCoordinatorOptions {
  readonly contents?: ContentId[] | undefined
  readonly onSession?: ((id: string) => void) | undefined
  readonly resume?: string | undefined
  readonly lockTimeoutMs?: number | undefined
  readonly maxShareWaitMs?: number | undefined
  readonly sessionTtlMs?: number | undefined
}

/** The coordinator of a node, connected, with its peer API at `http://<node>:1`. */
export async function connectCoordinator(
  url: string,
  node: string,
  {
    contents = [],
    onSession = () => undefined,
    resume,
    lockTimeoutMs = 1_000,
    maxShareWaitMs,
    sessionTtlMs = 2_000,
  }: TestCoordinatorOptions = {},
): Promise<LockCoordinator> {
  const coordinator = new LockCoordinator({
    url,
    node,
    endpoint: `http://${node}:1`,
    token: undefined,
    sessionTtlMs,
    lockTimeoutMs,
    maxShareWaitMs,
    resume,
    onSession,
    contents: () => contents,
    logger: createTestLogger(),
  })
  await coordinator.connect()
  return coordinator
}
