import { protocol } from 'electron'
import { servePage } from '#main/page/page-files.ts'
import { appScheme, isOwnUrl } from './origin.ts'

/** Before the application is ready, once. */
export function registerAppScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: appScheme, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ])
}

/** Serves the built page, and nothing else, under the page's own origin. */
export function serveAppScheme(pageDir: string): void {
  protocol.handle(appScheme, async (request) => {
    if (!isOwnUrl(request.url)) return new Response(null, { status: 404 })
    const { status, headers, body } = await servePage(pageDir, request.method, new URL(request.url).pathname)
    return new Response(Buffer.from(body), { status, headers: { ...headers } })
  })
}
