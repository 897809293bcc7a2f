// What the app may do with storage. docs/deployment.md says what needs each of these.

param accountName string

@description('The app.')
param principalId string

param queues array
param hostContainers array
param appContainers array
param packageContainer string

@description('As { name, access: \'read\' or \'write\' }.')
param dataContainers array

@allowed(['containers', 'account'])
param blobAccess string

@description('Whoever may put data into the data containers; empty: nobody.')
param deployerId string
param deployerType string

var roles = {
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  blobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
}
var definitions = 'Microsoft.Authorization/roleDefinitions'
var dataRoles = {
  read: roles.blobDataReader
  write: roles.blobDataContributor
}
// The host's documentation asks for the owner's role on what the host keeps for itself.
var hostAccess = [for container in hostContainers: { name: container, role: roles.blobDataOwner }]
var appAccess = [for container in concat(appContainers, [packageContainer]): { name: container, role: roles.blobDataContributor }]
var dataAccess = [for container in dataContainers: { name: container.name, role: dataRoles[container.access] }]
var access = concat(hostAccess, appAccess, dataAccess)
var queueNames = concat(queues, map(queues, queue => '${queue}-poison'))

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: account
  name: 'default'
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' existing = {
  parent: account
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [for item in access: {
  parent: blobs
  name: item.name
}]

resource jobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [for item in dataContainers: {
  parent: blobs
  name: item.name
}]

resource allQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' existing = [for queue in queueNames: {
  parent: queueService
  name: queue
}]

resource blobRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (item, i) in access: if (blobAccess == 'containers') {
  name: guid(containers[i].id, principalId, item.role)
  scope: containers[i]
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(definitions, item.role)
  }
}]

resource accountRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (blobAccess == 'account') {
  name: guid(account.id, principalId, roles.blobDataOwner)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(definitions, roles.blobDataOwner)
  }
}

resource queueRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (queue, i) in queueNames: {
  name: guid(allQueues[i].id, principalId, roles.queueDataContributor)
  scope: allQueues[i]
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(definitions, roles.queueDataContributor)
  }
}]

resource deployerRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (item, i) in dataContainers: if (!empty(deployerId)) {
  name: guid(jobContainers[i].id, deployerId, roles.blobDataContributor)
  scope: jobContainers[i]
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: subscriptionResourceId(definitions, roles.blobDataContributor)
  }
}]
