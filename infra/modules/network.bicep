// A virtual network in which the app's instances and the private endpoints of storage and database are, and the names
// by which those are found there.

param name string
param location string
param tags object

// Every instance takes an address; so many are enough for the 250 cores that a subscription has at first.
var addresses = {
  network: '10.20.0.0/16'
  functions: '10.20.0.0/22'
  endpoints: '10.20.8.0/27'
}
var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.postgres.database.azure.com'
]

resource network 'Microsoft.Network/virtualNetworks@2024-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addresses.network] }
    subnets: [
      {
        // No underscore: Flex Consumption does not take one.
        name: 'functions'
        properties: {
          addressPrefix: addresses.functions
          delegations: [
            {
              name: 'functions'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: addresses.endpoints
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [for item in zones: {
  name: item
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (item, i) in zones: {
  parent: zone[i]
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: network.id }
  }
}]

output functionsSubnetId string = resourceId('Microsoft.Network/virtualNetworks/subnets', network.name, 'functions')
output endpointsSubnetId string = resourceId('Microsoft.Network/virtualNetworks/subnets', network.name, 'endpoints')
output zoneIds object = {
  blob: zone[0].id
  queue: zone[1].id
  postgres: zone[2].id
}
