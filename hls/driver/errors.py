"""What the driver raises."""


class DeviceError(Exception):
    """What the device is, or said, is not what was expected of it."""
