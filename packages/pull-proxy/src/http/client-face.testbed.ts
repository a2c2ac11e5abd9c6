import type { ProxyOptions } from '../proxy-options.ts'
import { createTestLogger, type TestLogger } from '../test-logger.testbed.ts'
import { Upstreams } from '../upstream/upstreams.ts'
import { ClientFace } from './client-face.ts'
import { listenOn } from './listen.ts'
import type { PullAppOptions } from './pull-app.ts'

export interface TestFace extends AsyncDisposable {
  readonly url: string
  readonly face: ClientFace
  readonly logger: TestLogger
}

/** A face with no proxy behind it: it answers `/v2/`, and knows no upstream. */
export async function startTestFace(options: Partial<ProxyOptions> = {}): Promise<TestFace> {
  const logger = createTestLogger()
  const behind = { upstreams: new Upstreams([]), logger } as unknown as PullAppOptions
  const face = new ClientFace({ upstreams: [], ...options }, behind)
  return {
    url: await listenOn(face.app, options.listen ?? { host: '127.0.0.1', port: 0 }, 'listen'),
    face,
    logger,
    async [Symbol.asyncDispose]() {
      face.app.server.closeAllConnections()
      await face.app.close()
    },
  }
}
