"""The one route."""

from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response
from rest_framework_api_key.permissions import HasAPIKey


@api_view()
@permission_classes([HasAPIKey])
def check(_request):
    return Response({"valid": True})


urlpatterns = [path("check", check)]
