export type { ListenAddress, LockServerOptions, ProxyOptions, UpstreamOptions } from './proxy-options.ts'
export { PullProxy } from './pull-proxy.ts'
export type { ProxyUrls } from './pull-proxy.ts'
