// The storage account: queues that wake workers, blobs that jobs read and write, and what the host keeps for itself.

param name string
param location string
param tags object
param skuName string

@description('Each has a poison queue beside it.')
param queues array

@description('Containers that the app writes for itself.')
param appContainers array

@description('Where the deployed package is.')
param packageContainer string

@description('Containers of jobs, as { name, access }.')
param dataContainers array

param scratchContainer string
param archiveContainer string
param scratchDays int
param softDeleteDays int
param isPrivate bool

// Made here, so that the host needs no right to make containers.
var hostContainers = ['azure-webjobs-hosts', 'azure-webjobs-secrets']
var restorable = softDeleteDays > 0 ? { enabled: true, days: softDeleteDays } : { enabled: false }

// A backstop: the app itself removes what is in the scratch container when its run has ended. What rows refer to,
// in the results container, is removed with its rows and never here.
var scratchRule = {
  name: 'remove-scratch'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob']
      prefixMatch: ['${scratchContainer}/']
    }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: scratchDays } } }
  }
}
var archiveRule = {
  name: 'cool-archive'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob']
      prefixMatch: ['${archiveContainer}/']
    }
    actions: { baseBlob: { tierToCool: { daysAfterModificationGreaterThan: 30 } } }
  }
}

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: skuName }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // Nobody reads or writes without an identity; nothing has a key that could leak.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: restorable
    containerDeleteRetentionPolicy: restorable
  }
}

resource ownContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for container in concat(hostContainers, [packageContainer], appContainers): {
  parent: blobs
  name: container
}]

resource jobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for container in dataContainers: {
  parent: blobs
  name: container.name
}]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource workQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [for queue in queues: {
  parent: queueService
  name: queue
}]

resource poisonQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [for queue in queues: {
  parent: queueService
  name: '${queue}-poison'
}]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: { rules: empty(archiveContainer) ? [scratchRule] : [scratchRule, archiveRule] }
  }
}

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output hostContainers array = hostContainers
