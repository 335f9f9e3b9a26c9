"""The provider that LocalStack loads at the first use of S3."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="s3", name="host")
def provider() -> Service:
    from localstack_host.s3.events import ObjectEvents
    from localstack_host.s3.notification_filters import NotificationFilters
    from localstack_host.s3.storage import store
    from localstack_host.s3.user_metadata import PostedMetadata

    class S3Provider(NotificationFilters, PostedMetadata, ObjectEvents):
        pass

    install_modules_of(__package__)
    return Service.for_provider(S3Provider(store()))
