// The identity that the app acts as, wherever it runs. It has no rights by itself.

param name string
param location string
param tags object

@description('OIDC issuer of a Kubernetes cluster whose service accounts may act as this identity; empty: none.')
param kubernetesIssuer string
param kubernetesNamespace string

var subjects = [
  { name: 'app', subject: 'system:serviceaccount:${kubernetesNamespace}:orchestrator' }
  // KEDA looks at the queues.
  { name: 'keda', subject: 'system:serviceaccount:keda:keda-operator' }
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

// One at a time: the service refuses two at once.
@batchSize(1)
resource federation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = [for subject in subjects: if (!empty(kubernetesIssuer)) {
  parent: identity
  name: subject.name
  properties: {
    issuer: kubernetesIssuer
    subject: subject.subject
    audiences: ['api://AzureADTokenExchange']
  }
}]

output id string = identity.id
output name string = identity.name
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
