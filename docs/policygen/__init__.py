"""Makes IAM policies, CloudFormation templates and the page of permissions from what the operators declare."""
