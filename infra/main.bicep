// All that the orchestrator needs in Azure. `azd up` deploys it with main.bicepparam; docs/deployment.md explains it.
targetScope = 'subscription'

@description('Name of this installation: its resources carry it as a tag, and their names a hash of it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of all resources. It must offer Flex Consumption, unless the app runs on Kubernetes.')
@minLength(1)
param location string

@description('Resource group to make.')
param resourceGroupName string = 'rg-${environmentName}'

@description('Where the app runs: on Flex Consumption, or on a Kubernetes cluster that infra/kubernetes is applied to.')
@allowed(['functions', 'kubernetes'])
param hosting string = 'functions'

@description('Whether storage and database are reached through a virtual network only.')
param privateNetworking bool = false

@description('Object id of whoever deploys: administrator of the database, who makes its roles and migrates it.')
param principalId string

@description('Its name: the user principal name of a person, the display name of a service principal or group.')
param principalName string

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

@description('Address from which the database is prepared, let through its firewall; empty: none.')
param deployerAddress string = ''

@description('Memory of an instance. TASK_MEMORY_LIMIT follows it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances of each group of functions: HTTP is one, every other function is one of its own.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances that never stop, as { name: \'http\' or \'function:NAME\', instanceCount: … }.')
param alwaysReady array = []

@description('Whether a deployment drains instances rather than ends them. A preview of the platform\'s.')
param rollingUpdates bool = false

@description('{ name, tier } of the database server. On the tier Burstable there is no PgBouncer.')
param databaseSku object

@minValue(32)
param databaseStorageGB int

@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param databaseHighAvailability string = 'Disabled'

@minValue(7)
@maxValue(35)
param databaseBackupDays int = 7

param databaseGeoRedundantBackup bool = false

@description('Connections that PgBouncer keeps to the database, for each user.')
@minValue(1)
param databasePooledConnections int = 50

@description('Password of a second administrator, for tools that know no Entra tokens; empty: Entra only.')
@secure()
param databasePassword string = ''

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_LRS'

@description('Days for which deleted blobs and containers can be restored; 0: not at all.')
@minValue(0)
@maxValue(365)
param softDeleteDays int = 7

@description('Days after which a blob in the scratch container is deleted, should the app have left it.')
@minValue(1)
param scratchDays int = 30

@description('Whether runs are kept in a container when retention removes them.')
param archiveRuns bool = false

@description('Containers that jobs read and write, as { name, access: \'read\' or \'write\' }.')
param dataContainers array

@description('What the app may do with blobs: as much as each container needs, or everything in the account.')
@allowed(['containers', 'account'])
param blobAccess string = 'containers'

@description('Whether whoever deploys may upload to the data containers: shared keys are off.')
param deployerWritesData bool = true

@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Gigabytes of logs a day, past which none are taken; -1: no limit.')
param logDailyQuotaGB int = -1

@description('Who is told of alerts, by mail; empty: the rules are there, and tell nobody.')
param alertEmail string = ''

@description('OIDC issuer of a cluster whose pods may act as the app; empty: none.')
param kubernetesIssuer string = ''

@description('Namespace of the app in that cluster.')
param kubernetesNamespace string = 'orchestrator'

@description('Further settings of the app, by the names of interfaces/settings.py.')
param appSettings object = {}

@description('What callbacks are signed with (docs/callbacks.md); empty: there are none.')
@secure()
param callbackSecret string = ''

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var names = {
  identity: 'id-orchestrator-${token}'
  logs: 'log-orchestrator-${token}'
  insights: 'appi-orchestrator-${token}'
  storage: 'storch${token}'
  database: 'psql-orchestrator-${token}'
  network: 'vnet-orchestrator-${token}'
  plan: 'plan-orchestrator-${token}'
  app: 'func-orchestrator-${token}'
}
var queues = {
  jobs: 'geospatial-jobs'
  tasks: 'geospatial-tasks'
}
var containers = {
  results: 'job-results'
  scratch: 'job-scratch'
  archive: archiveRuns ? 'job-archive' : ''
}
var appContainers = archiveRuns
  ? [containers.results, containers.scratch, containers.archive]
  : [containers.results, containers.scratch]
// Of the names that jobs may not use.
var packageContainer = 'app-package-orchestrator'
var databaseName = 'geospatial'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: names.identity
    location: location
    tags: tags
    kubernetesIssuer: kubernetesIssuer
    kubernetesNamespace: kubernetesNamespace
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: names.logs
    insightsName: names.insights
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGB: logDailyQuotaGB
    alertEmail: alertEmail
    principalId: identity.outputs.principalId
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    workspaceId: monitoring.outputs.workspaceId
    actionGroupIds: monitoring.outputs.actionGroupIds
    location: location
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    name: names.network
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: names.storage
    location: location
    tags: tags
    skuName: storageSku
    queues: [queues.jobs, queues.tasks]
    appContainers: appContainers
    packageContainer: packageContainer
    dataContainers: dataContainers
    scratchContainer: containers.scratch
    archiveContainer: containers.archive
    scratchDays: scratchDays
    softDeleteDays: softDeleteDays
    isPrivate: privateNetworking
  }
}

module storageAccess 'modules/storage-access.bicep' = {
  name: 'storage-access'
  scope: group
  params: {
    accountName: storage.outputs.name
    principalId: identity.outputs.principalId
    queues: [queues.jobs, queues.tasks]
    hostContainers: storage.outputs.hostContainers
    appContainers: appContainers
    packageContainer: packageContainer
    dataContainers: dataContainers
    blobAccess: blobAccess
    deployerId: deployerWritesData ? principalId : ''
    deployerType: principalType
  }
}

module database 'modules/database.bicep' = {
  name: 'database'
  scope: group
  params: {
    name: names.database
    location: location
    tags: tags
    sku: databaseSku
    storageGB: databaseStorageGB
    highAvailability: databaseHighAvailability
    backupDays: databaseBackupDays
    geoRedundantBackup: databaseGeoRedundantBackup
    pooledConnections: databasePooledConnections
    databaseName: databaseName
    administratorId: principalId
    administratorName: principalName
    administratorType: principalType
    password: databasePassword
    isPrivate: privateNetworking
    clientAddress: deployerAddress
  }
}

module endpoints 'modules/private-endpoints.bicep' = if (privateNetworking) {
  name: 'private-endpoints'
  scope: group
  params: {
    location: location
    tags: tags
    subnetId: privateNetworking ? network.outputs.endpointsSubnetId : ''
    endpoints: [
      {
        name: 'blob'
        groupId: 'blob'
        resourceId: storage.outputs.id
        zoneId: privateNetworking ? network.outputs.zoneIds.blob : ''
      }
      {
        name: 'queue'
        groupId: 'queue'
        resourceId: storage.outputs.id
        zoneId: privateNetworking ? network.outputs.zoneIds.queue : ''
      }
      {
        name: 'postgres'
        groupId: 'postgresqlServer'
        resourceId: database.outputs.id
        zoneId: privateNetworking ? network.outputs.zoneIds.postgres : ''
      }
    ]
  }
}

module settings 'modules/settings.bicep' = {
  name: 'settings'
  scope: group
  params: {
    identityName: identity.outputs.name
    clientId: identity.outputs.clientId
    storageAccountName: storage.outputs.name
    insightsConnectionString: monitoring.outputs.connectionString
    databaseHost: database.outputs.host
    databasePort: database.outputs.port
    databaseDirectPort: database.outputs.directPort
    databaseName: databaseName
    queues: queues
    dataContainers: dataContainers
    containers: containers
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    further: appSettings
  }
}

module functionApp 'modules/function-app.bicep' = if (hosting == 'functions') {
  name: 'function-app'
  scope: group
  params: {
    name: names.app
    planName: names.plan
    location: location
    tags: tags
    identityId: identity.outputs.id
    packageUrl: '${storage.outputs.blobEndpoint}${packageContainer}'
    subnetId: privateNetworking ? network.outputs.functionsSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    rollingUpdates: rollingUpdates
    settings: settings.outputs.settings
    callbackSecret: callbackSecret
  }
  // Else the host would start before it may read its own containers.
  dependsOn: [storageAccess, endpoints]
}

// What hooks and `azd env get-values` are told.
output AZURE_RESOURCE_GROUP string = group.name
output FUNCTION_APP_NAME string = names.app
output STORAGE_ACCOUNT_NAME string = storage.outputs.name
output DATABASE_HOST string = database.outputs.host
output DATABASE_NAME string = databaseName
output DATABASE_ADMINISTRATOR string = principalName
output DATABASE_APP_NAME string = identity.outputs.name
output DATABASE_APP_OBJECT_ID string = identity.outputs.principalId
output PRIVATE_NETWORKING bool = privateNetworking
output APP_CLIENT_ID string = identity.outputs.clientId
