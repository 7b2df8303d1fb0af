"""The one route."""

from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response


@api_view()
@permission_classes([IsAuthenticated])
def check(request):
    return Response({"user": request.user.pk})


urlpatterns = [path("check", check)]
