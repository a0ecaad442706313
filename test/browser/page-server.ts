import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { servePage } from '#main/page/page-files.ts'

export interface PageServer {
  readonly url: string
  close(): Promise<void>
}

/** Serves the built page on loopback with the headers that the window has. */
export async function startPageServer(): Promise<PageServer> {
  const root = join(import.meta.dirname, '../../out/renderer')
  const server = createServer((request, response) => {
    void servePage(root, request.method ?? 'GET', request.url ?? '/').then(({ status, headers, body }) => {
      response.writeHead(status, headers)
      response.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
