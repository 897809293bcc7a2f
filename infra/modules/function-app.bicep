// The app on Flex Consumption. It has no deployment slots: an installation to try things on is one of its own.

param name string
param planName string
param location string
param tags object
param identityId string

@description('URL of the container with the deployed package.')
param packageUrl string

@description('Subnet of its instances; empty: they are in none.')
param subnetId string
param instanceMemoryMB int
param maximumInstanceCount int
param alwaysReady array
param rollingUpdates bool
param settings object

@secure()
param callbackSecret string

// As many as triggers/threads.py has threads for. Without it, Python apps get one at a time.
var requestsAtOnce = 16

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  // By this tag `azd deploy` finds it.
  tags: union(tags, { 'azd-service-name': 'orchestrator' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: { minTlsVersion: '1.2' }
    functionAppConfig: union({
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.11'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady
        triggers: { http: { perInstanceConcurrency: requestsAtOnce } }
      }
    }, rollingUpdates ? { siteUpdateStrategy: { type: 'RollingUpdate' } } : {})
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(settings, empty(callbackSecret) ? {} : { CALLBACK_SECRET: callbackSecret })
}

// Deployment is by Entra alone.
@batchSize(1)
resource noBasicAuth 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = [for kind in ['ftp', 'scm']: {
  parent: app
  name: kind
  properties: { allow: false }
}]
