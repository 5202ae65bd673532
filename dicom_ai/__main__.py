"""Run as python -m dicom_ai."""

from dicom_ai.cli import main

if __name__ == "__main__":
    main()
