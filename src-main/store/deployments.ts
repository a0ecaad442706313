import { deploymentRecipeSchema, deploymentSchema } from '#shared/domain/compute.ts'
import type { Deployment, DeploymentRecipe } from '#shared/domain/compute.ts'
import { AppError } from '#shared/errors/app-error.ts'
import type { ContainerKey } from './containers.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

/** What runs from which container on which host, and over which LUN. */
export interface DeploymentRepository {
  /** Throws busy when a deployment of another VM has this name, or another deployment has this VM. */
  put(deployment: Deployment, recipe: DeploymentRecipe): void
  find(name: string): Deployment | undefined
  get(name: string): Deployment
  /** undefined: it was deployed by a version that did not keep it. Throws not-found. */
  recipeOf(name: string): DeploymentRecipe | undefined
  /** By name. */
  list(): Deployment[]
  listByHost(host: string): Deployment[]
  listByContainer(key: ContainerKey): Deployment[]
  /** Not there: succeeds. */
  delete(name: string): void
}

const describe = (name: string): string => `deployment ${name}`

export function createDeploymentRepository({ db, write }: Connection): DeploymentRepository {
  const upsert = db.prepare<[string, string, string, string, string, string, string, string]>(
    `INSERT INTO deployments (name, host, array, volume, container, vm_uuid, facts, recipe) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET host = excluded.host, array = excluded.array, volume = excluded.volume,
       container = excluded.container, facts = excluded.facts, recipe = excluded.recipe`,
  )
  const select = db.prepare<[string], string>('SELECT facts FROM deployments WHERE name = ?').pluck()
  const selectRecipe = db
    .prepare<[string], string | null>('SELECT recipe FROM deployments WHERE name = ?')
    .pluck()
  const selectAll = db.prepare<[], string>('SELECT facts FROM deployments ORDER BY name').pluck()
  const selectByHost = db
    .prepare<[string], string>('SELECT facts FROM deployments WHERE host = ? ORDER BY name')
    .pluck()
  const selectByContainer = db
    .prepare<[string, string, string], string>(
      'SELECT facts FROM deployments WHERE array = ? AND volume = ? AND container = ? ORDER BY name',
    )
    .pluck()
  const remove = db.prepare<[string]>('DELETE FROM deployments WHERE name = ?')

  const toDeployment = (facts: string): Deployment => decodeDocument(deploymentSchema, facts, 'deployment')
  const find = (name: string): Deployment | undefined => {
    const facts = select.get(name)
    return facts === undefined ? undefined : toDeployment(facts)
  }
  return {
    put(deployment, recipe) {
      const object = describe(deployment.name)
      const { document, text } = encodeDocument(deploymentSchema, deployment, object)
      const { array, volume, name: container } = document.container
      const kept = encodeDocument(deploymentRecipeSchema, recipe, object)
      write(() => {
        const known = find(document.name)
        if (known !== undefined && known.vm.uuid !== document.vm.uuid)
          throw new AppError('busy', 'A deployment of this name is on record', {
            object,
            facts: { 'VM on record': known.vm.uuid, 'new VM': document.vm.uuid },
          })
        upsert.run(document.name, document.host, array, volume, container, document.vm.uuid, text, kept.text)
      })
    },
    find,
    get: (name) => required(find(name), describe(name)),
    recipeOf(name) {
      const recipe = required(selectRecipe.get(name), describe(name))
      return recipe === null ? undefined : decodeDocument(deploymentRecipeSchema, recipe, describe(name))
    },
    list: () => selectAll.all().map(toDeployment),
    listByHost: (host) => selectByHost.all(host).map(toDeployment),
    listByContainer: ({ array, volume, name }) =>
      selectByContainer.all(array, volume, name).map(toDeployment),
    delete(name) {
      write(() => remove.run(name))
    },
  }
}
